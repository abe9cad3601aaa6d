// What the model in the page answers, in the way of its form: see minitransformer/forms.

/** The answer to a source (token numbers). values: the results of the model's steps. read: the tokens
 * at which it is asked. asked: at each `place` of them that is, the `probabilities` of all choices, and
 * the number of the `best`. guess: an answer that may be near, where the model writes one. */
function answerTo(source, change, guess = []) {
  const written = DATA.form === "pairs" ? write(source, change, guess) : {};
  const { values = run(model, { source }, change), read = source, passes = 1 } = written;
  const asked = placesAsked(read).map((place) => ({ place, ...likelyAt(values.at(-1), place) }));
  return { source, values, read, asked, passes };
}

/** The likeliest token after each, up to the end. All places are asked at once, about a guess, and what
 * they say is the next guess, until it is what they say: as none depends on later ones, the first is right
 * after one pass, the second after two. So it is the answer that the model gives token by token, in
 * fewer passes: Santilli et al., "Accelerating Transformer Inference for Translation via Parallel
 * Decoding" (2023), section 3. */
function write(source, change, guess) {
  const memory = run(model, { source }, change);
  const most = DATA.program.lengths.target;
  for (let read = [DATA.bos, ...guess].slice(0, most), passes = 1; ; passes++) {
    const values = run(model, { source, target: read }, change, [...memory]);
    const said = read.map((_, place) => likelyAt(values.at(-1), place).best);
    const end = said.indexOf(DATA.eos);
    const next = [DATA.bos, ...(end < 0 ? said : said.slice(0, end))].slice(0, most);
    if (String(next) === String(read)) return { values, read, passes };
    read = next;
  }
}

/** Where the model is asked for something: a text's last place, its gaps, or all that it writes. */
function placesAsked(read) {
  if (DATA.form === "labels") return [0];
  if (DATA.form === "text") return [read.length - 1];
  return [...read.keys()].filter((place) => DATA.form === "pairs" || read[place] === DATA.gap);
}

/** What is likely at a place of the logits; what no answer may be is left out. */
function likelyAt({ shape, data }, place) {
  const logits = rowOf(data, place, shape.at(-1));
  const probabilities = softmax(logits, logits.map((_, choice) => (DATA.banned.includes(choice) ? 0 : 1)));
  return { probabilities, best: probabilities.indexOf(Math.max(...probabilities)) };
}
