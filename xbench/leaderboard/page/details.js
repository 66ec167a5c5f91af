// An entry in full: its scores, how it was made, and the records behind it.

const RECORD = /^results\/[\w.+@-]+(\/[\w.+@-]+)*\.json$/;

function pairs(items) {
  const shown = items.filter(([, content]) => content !== "" && content !== null && content !== undefined);
  const row = ([name, content]) => make("div", {}, make("dt", {}, name), make("dd", {}, content));
  return make("dl", { class: "pairs" }, shown.map(row));
}

function recordLinks(text) {
  // A record lies beside the page: what looks like its path, and nothing else, becomes a link.
  const link = (path) => make("a", { href: path.split("/").map(encodeURIComponent).join("/") }, path);
  const parts = String(text).split(/(,?\s+)/);
  return parts.map((part) => (RECORD.test(part) && !part.includes("..") ? link(part) : part));
}

function scoreTable(entry) {
  const rows = [entry.primary, ...otherScores(entry)].filter((name) => scoreOf(entry, name)).map((name) => {
    const [score, style] = [scoreOf(entry, name), scoreStyle(entry.task, name)];
    return make(
      "tr", {}, make("th", { scope: "row" }, style.title),
      make("td", { class: "numeric" }, known(score.value) ? number(score.value, style.decimals) : "undefined"),
      make("td", { class: "numeric" }, intervalText(score, style.decimals) || NONE),
      make("td", { class: "numeric" }, number(score.sd, style.decimals)),
      entry.ceiling ? make("td", { class: "numeric" }, number(entry.ceiling[name], style.decimals)) : null,
    );
  });
  const titles = ["Score", "Value", "95% interval", "SD over seeds", ...(entry.ceiling ? ["Ceiling"] : [])];
  return make(
    "table", { class: "scores" }, make("caption", {}, "Scores"),
    headRow(titles, 1), make("tbody", {}, rows),
  );
}

function measureText(found, decimals, unit = "") {
  if (!found || !known(found.value)) return "";
  return `${number(found.value, decimals)}${unit} ${intervalText(found, decimals)}`.trim();
}

function detailPanel(entry) {
  const decimals = scoreStyle(entry.task, entry.primary).decimals;
  const made = pairs([
    ["Task", TITLES.task(entry.task)], ["Model", entry.model], ["Fine-tuned on", curriculumTitle(entry)],
    ["Fine-tuned in", entry.sources.map(languageTitle).join(", ")], ["Regime", TITLES.regime(entry.regime)],
    ["Scored on", datasetTitle(entry)], ["Kind", kindOf(entry.transfer).title], ["Head", entry.head],
    ["Reading", entry.reading], ["Settings", entry.variant], ["Selection", entry.selection],
    ["Seeds", entry.seeds.join(", ")], ["Limits", entry.limits],
    ["Gap", measureText(entry.gap, decimals)], ["Degradation", measureText(entry.degradation, 1, "%")],
    ["Retention", measureText(entry.retention, 1, "%")], ["Overlap", entry.overlap], ["Marks", entry.marks.join("; ")],
  ]);
  const from = pairs([["Entry", entry.id], ...entry.provenance.map(([name, words]) => [name, recordLinks(words)])]);
  const title = `Provenance of ${entry.model}, ${curriculumTitle(entry)}, scored on ${datasetTitle(entry)}`;
  return make(
    "section", { id: `detail-${entry.id}`, class: "detail", "aria-label": title },
    make("div", { class: "part" }, scoreTable(entry)),
    make("div", { class: "part" }, make("h3", {}, "Entry"), made),
    make("div", { class: "part" }, make("h3", {}, "Provenance"), from),
  );
}
