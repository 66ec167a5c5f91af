// What the reader has chosen. It is kept in the address behind "#", so that a view can be linked.

const payload = JSON.parse(find("payload").textContent);
const TASKS = new Map(payload.tasks.map((task) => [task.name, task]));
const CORPORA = {
  real: payload.entries.filter((entry) => !entry.sample),
  sample: payload.entries.filter((entry) => entry.sample),
};

const KINDS = new Map([
  ["zero-shot", { title: "zero-shot", glyph: "◇", symbol: "diamond", fill: false, dash: "2px,2px", width: 2 }],
  ["in-language", { title: "in-language", glyph: "●", symbol: "circle", fill: true, dash: "solid", width: 2 }],
  ["mixed", { title: "mixed", glyph: "◉", symbol: "circle-dot", fill: false, dash: "6px,4px", width: 1.5 }],
  ["frozen", { title: "frozen", glyph: "○", symbol: "circle", fill: false, dash: "solid", width: 0 }],
  ["floor", { title: "floor", glyph: "□", symbol: "square", fill: false, dash: "solid", width: 0 }],
]);
const UNKNOWN = { title: "", glyph: "", symbol: "x", fill: true, dash: "solid", width: 0 };
const kindOf = (transfer) => KINDS.get(transfer) || { ...UNKNOWN, title: transfer };
const REGIMES = ["floor", "frozen", "single", "sequential", "mixed"];
const REGIME_TITLES = {
  floor: "floor", frozen: "frozen", single: "one dataset", sequential: "one after another", mixed: "mixed",
};

const DEFAULTS = {
  corpora: CORPORA.real.length || !CORPORA.sample.length ? "real" : "sample",
  task: "", model: "", language: "", source: "", regime: "", transfer: "", q: "", sort: "", page: "1", row: "",
  matrixTask: "", matrixModel: "", matrixScore: "", on: "",
};
const state = { ...DEFAULTS };

const FILTERS = {
  task: (entry) => [entry.task],
  model: (entry) => [entry.model],
  language: (entry) => [entry.language],
  source: (entry) => entry.sources,
  regime: (entry) => [entry.regime],
  transfer: (entry) => [entry.transfer],
};

function readAddress() {
  const found = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(DEFAULTS)) state[name] = found.get(name) || DEFAULTS[name];
  if (!CORPORA[state.corpora] || !CORPORA[state.corpora].length) state.corpora = DEFAULTS.corpora;
}

function writeAddress() {
  const changed = Object.entries(state).filter(([name, value]) => value !== DEFAULTS[name] && value !== "");
  const text = new URLSearchParams(changed).toString();
  if (text === location.hash.slice(1)) return;
  history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
}

const DATASETS = payload.tasks.flatMap((task) => task.datasets);
const LANGUAGES = new Map(DATASETS.map((dataset) => [dataset.language, dataset.languageName]));
const languageNames = (() => {
  try {
    return new Intl.DisplayNames(["en"], { type: "language" });
  } catch (error) {
    return null;
  }
})();

function languageTitle(code) {
  if (LANGUAGES.has(code)) return LANGUAGES.get(code);
  try {
    return languageNames.of(code) || code;
  } catch (error) {
    return code;
  }
}

const TITLES = {
  task: (name) => (TASKS.get(name) || { title: name }).title,
  model: (name) => name,
  language: languageTitle,
  source: languageTitle,
  regime: (name) => REGIME_TITLES[name] || name,
  transfer: (name) => kindOf(name).title,
};
const ALL = {
  task: "All tasks", model: "All models", language: "All languages", source: "All languages", regime: "All regimes",
  transfer: "All kinds",
};

const haystacks = new WeakMap();

function haystack(entry) {
  if (!haystacks.has(entry)) {
    const words = [
      entry.id, entry.task, TITLES.task(entry.task), entry.model, entry.head, entry.reading, curriculumTitle(entry),
      entry.curriculum, entry.dataset, languageTitle(entry.language), entry.transfer, entry.regime, entry.variant,
      entry.limits, entry.overlap, ...entry.marks,
    ];
    haystacks.set(entry, words.join("\n").toLowerCase());
  }
  return haystacks.get(entry);
}

function passes(entry) {
  for (const [name, values] of Object.entries(FILTERS)) {
    if (state[name] && !values(entry).includes(state[name])) return false;
  }
  return !state.q || state.q.toLowerCase().split(/\s+/).every((word) => haystack(entry).includes(word));
}

function curriculumTitle(entry) {
  if (entry.regime === "frozen" && entry.curriculum === "none") return "none";
  if (entry.regime === "sequential" || entry.regime === "mixed") {
    return entry.curriculum.replace(/:/g, " → ").replace(/\+/g, " + ");
  }
  return entry.curriculum;
}

function scoreOf(entry, name) {
  return (entry.scores && entry.scores[name]) || null;
}

function scoreStyle(task, name) {
  const found = (TASKS.get(task) || { scores: [] }).scores.find((score) => score.name === name);
  return found || { name, title: name, decimals: 2 };
}

function datasetTitle(entry) {
  return `${languageTitle(entry.language)} (${entry.dataset})`;
}
