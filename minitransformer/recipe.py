"""Recipe: a task, a model and how it is trained, which is all that decides how a run goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from minigrad.files import StrPath
from minigrad.nn import Module
from minitransformer.forms import FORMS, Form
from minitransformer.models import MODELS
from minitransformer.runs import Run, RunError, differences
from minitransformer.settings import SettingError, Training, kept_names, require_kind
from minitransformer.tasks import TASKS


@dataclass(frozen=True)
class Recipe:
    """The settings of a run, in three groups: the same recipe gives the same bits.

    >>> recipe = Recipe.read({"task": "sort", "length": 5, "heads": 8, "steps": 100})
    >>> recipe.task.length, recipe.model.heads, recipe.training.steps
    (5, 8, 100)
    """

    task: Any
    model: Any
    training: Training

    @classmethod
    def read(cls, settings: Mapping[str, Any], *, lenient: bool = False) -> Recipe:
        """The recipe of settings by name; what is not given has its default.

        SettingError for a name or a value that makes no sense, for a task and a model that do not
        fit, and for a setting that they do not have, if it is not `lenient` with those.
        """
        require_kinds(settings)
        if "task" not in settings:
            raise SettingError(f"name a task ({', '.join(TASKS)}), or give <data> FILE")
        task = entry(TASKS, "task", settings["task"])
        model = entry(MODELS, "model", settings.get("model", task.default))
        if task.form not in model.answers:
            fitting = [name for name, x in MODELS.items() if task.form in x.answers]
            other = [name for name, x in TASKS.items() if x.form in model.answers]
            raise SettingError(
                f"<model> {model.name} does not fit task {task.name}: {task.name} takes "
                f"{join_names(fitting)}, and {model.name} learns {join_names(other)}"
            )
        chosen = {name: x for name, x in settings.items() if name not in ("task", "model")}
        groups = task, model, Training
        if not lenient:
            require_used(chosen, task, model)
        defaults = {**task.defaults, **model.defaults}
        return cls(*(make(group, {**defaults, **chosen}) for group in groups))

    @classmethod
    def of_run(cls, run: Run) -> Recipe:
        """The recipe that a run was made with. RunError where its settings make none."""
        try:
            return cls.read(run.config, lenient=True)
        except SettingError as error:  # the names in the file are those of settings, not of options
            raise RunError(f"{run.path / 'config.toml'}: {error}") from error

    def flat(self) -> dict[str, Any]:
        """All settings by name, as `read` takes them and a run writes them down."""
        names = {"task": self.task.name, "model": self.model.name}
        return names | asdict(self.task) | asdict(self.model) | asdict(self.training)

    def kept(self) -> dict[str, Any]:
        """The settings that a run keeps for good; all others may change when it goes on."""
        names = [name for group in self.groups for name in kept_names(group)]
        return {name: x for name, x in self.flat().items() if name in ("task", "model", *names)}

    def kept_of_model(self) -> dict[str, Any]:
        """The settings that decide what a model's weights are."""
        return kept_of_model(self.model)

    @property
    def groups(self) -> tuple[Any, Any, Training]:
        """The settings of the task, of the model and of the training."""
        return self.task, self.model, self.training


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, those of later layers in the place of earlier ones.

    A file of data alone means the task pairs, and is named by its whole path; a task that has no
    data goes without that of an earlier layer.
    """
    merged: dict[str, Any] = {}
    without_data = {*TASKS.values()} - {*owners("data")}
    for layer in layers:
        merged |= layer
        task = layer.get("task")
        for name in ("data", "test"):
            if (file := layer.get(name)) and isinstance(file, str):
                path = Path(file).resolve()
                # What a pipe is resolved to has no name that could be told.
                merged[name] = str(path) if path.exists() else file
        if layer.get("data") and isinstance(layer["data"], str):
            merged["task"] = task or "pairs"
        elif "data" not in layer and task in [x.name for x in without_data]:
            merged["data"] = ""
    return merged


def kept_of_model(model: Any) -> dict[str, Any]:
    """The settings that decide what the weights of a model with these settings are."""
    return {"model": model.name, **{name: getattr(model, name) for name in kept_names(model)}}


def entry(table: Mapping[str, type[Any]], kind: str, name: Any) -> type[Any]:
    """The task or the model of this name. SettingError with those that there are."""
    if name not in table:
        raise SettingError(f"unknown {kind} {name!r}; the {kind}s are {', '.join(table)}")
    return table[name]


def form_of(task: str | None) -> str | None:
    """The kind of the questions of a task, by its name; None for what names no task."""
    return TASKS[task].form if task in TASKS else None


def make(group: type[Any], settings: Mapping[str, Any]) -> Any:
    """A group of settings of those that it has."""
    names = {each.name for each in fields(group)}
    return group(**{name: x for name, x in settings.items() if name in names})


@dataclass(frozen=True)
class Setting:
    """A setting by its name: its type, what it means, its usual value, and which entries have it.

    choices: the only texts that it may be, where it is not any. owners: the names of tasks, or of
    models; none of a setting of the training, or of one that all models have. exceptions: the names
    of the tasks and models for which another value is usual, by that value.
    """

    name: str
    kind: Any
    help: str
    default: Any
    choices: tuple[str, ...]
    owners: tuple[str, ...]
    exceptions: dict[Any, list[str]]


def settings_of(groups: Iterable[type[Any]]) -> list[Setting]:
    """Each setting that some of the groups have, once, as the first of them has it."""
    having: dict[str, list[type[Any]]] = {}
    groups = [*groups]
    for group in groups:
        for each in fields(group):
            having.setdefault(each.name, []).append(group)
    found = []
    for name, own in having.items():
        each = next(each for each in fields(own[0]) if each.name == name)
        kind = get_type_hints(own[0])[name]
        names = () if len(own) == len(groups) else tuple(group.name for group in own)
        about = kind, each.metadata["help"], each.default, get_args(kind), names
        found.append(Setting(name, *about, exceptions_of(name, each.default)))
    return found


def exceptions_of(name: str, default: Any) -> dict[Any, list[str]]:
    """The tasks and models that have another default for a setting, by what it is for them."""
    found: dict[Any, list[str]] = {}
    for owner in (*TASKS.values(), *MODELS.values()):
        if owner.defaults.get(name, default) != default:
            found.setdefault(owner.defaults[name], []).append(owner.name)
    return found


def owners(name: str) -> list[type[Any]]:
    """The groups that have a setting, of all tasks, all models, and the training."""
    groups = (*TASKS.values(), *MODELS.values(), Training)
    return [group for group in groups if name in {each.name for each in fields(group)}]


def require_kinds(settings: Mapping[str, Any]) -> None:
    """SettingError for a name that no setting has, and for a value that is not of its type."""
    for name, value in settings.items():
        require_kind(name, str if name in ("task", "model") else kind_of(name), value)


def kind_of(name: str) -> Any:
    """The type of a setting. SettingError for a name that no setting has."""
    found = owners(name)
    if not found:
        known = settings_of((*TASKS.values(), *MODELS.values(), Training))
        names = ("task", "model", *(setting.name for setting in known))
        raise SettingError(f"no setting {name!r}; there are {', '.join(names)}")
    return get_type_hints(found[0])[name]


def require_used(chosen: Mapping[str, Any], task: type[Any], model: type[Any]) -> None:
    """SettingError for a setting that the task, the model and the training would ignore.

    One that has its default is no mistake: a whole configuration may be used again.
    """
    for name, value in chosen.items():
        having = owners(name)
        if {task, model, Training} & {*having} or value == default_of(having[0], name):
            continue
        kind = "task" if having[0].name in TASKS else "model"
        mine = task if kind == "task" else model
        raise SettingError(
            f"<{name}> is a setting of {join_names([group.name for group in having])}; "
            f"{kind} {mine.name} has none"
        )


def default_of(group: type[Any], name: str) -> Any:
    """What a setting is where nobody chooses."""
    return next(each.default for each in fields(group) if each.name == name)


def join_names(names: list[str]) -> str:
    """Names to read.

    >>> join_names(["copy", "reverse", "sort"])
    'copy, reverse and sort'
    """
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def require_same(
    made: Mapping[str, Any],
    asked: Recipe,
    what: str,
    remedy: str = "leave them out, or train a new run",
) -> None:
    """RunError, naming each setting that differs, if `what` was made with others than asked for.

    Only those count that a run keeps for good. remedy: what to do about them.
    """
    # A setting that is younger than the run has its default.
    refuse_differences(Recipe.read(made, lenient=True).kept(), asked.kept(), what, remedy)


def refuse_differences(
    made: Mapping[str, Any],
    asked: Mapping[str, Any],
    what: str,
    remedy: str = "leave them out, or train a new run",
) -> None:
    """RunError, naming each setting that differs, if any does."""
    changed = differences(dict(made), dict(asked))
    if changed:
        raise RunError(f"{what} was made with other settings ({'; '.join(changed)}): {remedy}")


def open_model(path: StrPath) -> tuple[Recipe, Form, Module]:
    """The model in a run folder, with its recipe and the form of its questions.

    RunError where there is none, or where its settings or weights are not those it was made with.
    """
    run = Run.open(path)
    recipe = Recipe.of_run(run)
    weights, _, state = run.load()
    require_unchanged(run, state["config"], recipe)
    form = FORMS[recipe.task.form].restore(state)
    model: Module = recipe.model.build(form.shape, 0)
    try:
        model.load_state_dict(weights)
    except ValueError as error:
        raise RunError(f"{path}: {error}") from error
    return recipe, form, model


def require_unchanged(run: Run, made: Mapping[str, Any], recipe: Recipe) -> None:
    """RunError if the recipe in a run's folder is not the one that its model was made with."""
    what = f"{run.path}/config.toml has changed: the model"
    require_same(made, recipe, what, remedy="restore the file, or train the run again")
