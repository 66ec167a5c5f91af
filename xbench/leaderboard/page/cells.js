// What stands in the cells of the table of entries.

const scales = new Map();

function scaleOf(entry) {
  // From the lowest to the highest end of an interval of the task's entries: a task's lines share one axis.
  const key = JSON.stringify([entry.sample, entry.task, entry.primary]);
  if (!scales.has(key)) {
    let [low, high] = [Infinity, -Infinity];
    for (const other of CORPORA[entry.sample ? "sample" : "real"]) {
      const score = other.task === entry.task ? scoreOf(other, entry.primary) : null;
      if (!score || !known(score.value)) continue;
      low = Math.min(low, score.low ?? score.value);
      high = Math.max(high, score.high ?? score.value);
    }
    scales.set(key, high > low ? [low, high] : [low - 1, low + 1]);
  }
  return scales.get(key);
}

const LINE = { width: 92, height: 12, edge: 4 };

function intervalLine(entry) {
  const score = scoreOf(entry, entry.primary);
  const [low, high] = scaleOf(entry);
  const place = (value) => (LINE.edge + ((value - low) / (high - low)) * (LINE.width - 2 * LINE.edge)).toFixed(1);
  const middle = LINE.height / 2;
  const svg = draw("svg", { class: "line", viewBox: `0 0 ${LINE.width} ${LINE.height}`, "aria-hidden": "true" });
  svg.append(draw("line", { class: "axis", x1: 0, x2: LINE.width, y1: middle, y2: middle }));
  if (known(score.low)) {
    svg.append(draw("line", { class: "span", x1: place(score.low), x2: place(score.high), y1: middle, y2: middle }));
  }
  svg.append(draw("line", { class: "dot", x1: place(score.value), x2: place(score.value), y1: 0, y2: LINE.height }));
  return svg;
}

function intervalText(found, decimals) {
  if (!found || !known(found.low)) return "";
  return `[${number(found.low, decimals)}, ${number(found.high, decimals)}]`;
}

function primaryCell(entry) {
  const [score, style] = [scoreOf(entry, entry.primary), scoreStyle(entry.task, entry.primary)];
  const title = make("span", { class: "small" }, style.title);
  if (!score) {
    const nothing = make("span", { class: entry.failed ? "small" : "value" }, entry.failed ? "failed" : NONE);
    return make("div", { class: "score" }, nothing, title);
  }
  if (!known(score.value)) {
    return make("div", { class: "score" }, make("span", { class: "small" }, "undefined"), title);
  }
  return make(
    "div", { class: "score" },
    make("span", { class: "value" }, number(score.value, style.decimals)), intervalLine(entry),
    title, make("span", { class: "small" }, intervalText(score, style.decimals)),
  );
}

function otherScores(entry) {
  const task = TASKS.get(entry.task);
  const known = task ? task.scores.map((score) => score.name) : [];
  const names = [...known, ...Object.keys(entry.scores).filter((name) => !known.includes(name))];
  return names.filter((name) => name !== entry.primary && scoreOf(entry, name));
}

function othersCell(entry) {
  const names = otherScores(entry);
  const shown = names.slice(0, names.length > 3 ? 2 : 3).map((name) => {
    const [score, style] = [scoreOf(entry, name), scoreStyle(entry.task, name)];
    const text = known(score.value) ? number(score.value, style.decimals) : "undefined";
    return make("div", { class: "other" }, make("span", { class: "small" }, style.title), " ", make("span", {}, text));
  });
  const more = names.length - shown.length;
  return make("div", {}, shown, more > 0 ? make("div", { class: "small" }, `and ${more} more`) : null);
}

function measureCell(found, decimals, unit = "") {
  if (!found || !known(found.value)) return make("span", { class: "none" }, NONE);
  return make(
    "div", { class: "measure" }, make("span", {}, number(found.value, decimals) + unit),
    make("span", { class: "small" }, intervalText(found, decimals)),
  );
}

const heads = new Map();

function severalHeads(entry) {
  // Whether its task's entries have not all the same head: else there is no need to name it in every row. A floor has
  // a head of its own, of its name.
  const key = JSON.stringify([entry.sample, entry.task]);
  if (!heads.has(key)) {
    const own = CORPORA[entry.sample ? "sample" : "real"].filter((other) => other.task === entry.task);
    heads.set(key, new Set(own.filter((other) => other.regime !== "floor").map((other) => other.head)).size > 1);
  }
  return heads.get(key) && entry.regime !== "floor";
}

function notesOf(entry) {
  // What tells an entry from others of the same curriculum.
  const selection = entry.selection && entry.selection !== "last" ? `selection ${entry.selection}` : "";
  return [entry.reading, entry.variant, selection].filter(Boolean);
}

function trainedCell(entry) {
  const notes = [severalHeads(entry) ? entry.head : "", ...notesOf(entry)].filter(Boolean);
  return make(
    "div", {}, make("span", { class: "curriculum" }, curriculumTitle(entry)),
    make("div", { class: "small" }, notes.join(", ")),
    make("div", { class: "small for-model" }, entry.model),
    make("div", { class: "small for-task" }, entry.task),
    make("div", { class: "small for-marks" }, shortMarks(entry)),
  );
}

function glyph(kind) {
  return make("span", { class: "glyph", "aria-hidden": "true" }, kind.glyph);
}

function kindCell(entry) {
  const kind = kindOf(entry.transfer);
  return make("span", { class: "kind" }, glyph(kind), " ", kind.title);
}

function scoredCell(entry) {
  return make(
    "div", {}, make("span", {}, languageTitle(entry.language)), make("div", { class: "small" }, entry.dataset),
    make("div", { class: "small for-kind" }, kindCell(entry)),
  );
}

const marksOf = (entry) => [entry.limits, ...entry.marks, entry.overlap].filter(Boolean);

function shortMarks(entry) {
  // What stands in a row where there is no room for its marks: that it has some.
  const others = marksOf(entry).length - (entry.limits ? 1 : 0);
  return [entry.limits, others > 0 ? `${others} ${others === 1 ? "mark" : "marks"}` : ""].filter(Boolean).join("; ");
}

function marksCell(entry) {
  return make("div", { class: "marks" }, marksOf(entry).map((mark) => make("div", {}, mark)));
}
