"use strict";
function start() {
const $ = id => document.getElementById(id);
const data = JSON.parse($("data").textContent);
// What differs from run to run is apart.
const costs = JSON.parse($("costs").textContent);
const CAP = 100;
const NONE = "–";
const escaped = text => String(text).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
// A name may be one that every object has, such as constructor.
const own = (object, name) => object && Object.hasOwn(object, name) ? object[name] : undefined;
const show = (element, shown) => { if (element) element.hidden = !shown; };

// As Python prints them: two decimals, exact halves to the even digit.
function fixed(x, digits = 2) {
  const scale = 10 ** digits, down = Math.floor(x * scale);
  const half = x * scale - down === 0.5 && Number.isInteger(x * 2 ** (digits + 1));
  return half ? ((down + (down % 2 === 0 ? 0 : 1)) / scale).toFixed(digits) : x.toFixed(digits);
}
function points(x) {
  let digits = 2;
  while (x && !Number(fixed(x, digits)) && digits < 6) digits++;
  const text = fixed(x, digits);
  return Number(text) === 0 ? `+${text.replace("-", "")}` : x > 0 ? `+${text}` : text;
}

// The leaderboard
const state = {table: data.boards[0].table, dataset: "", metric: "", base: null, query: "", every: false, all: false,
  sort: null, down: true, detectors: new Set(), recipes: new Set()};
for (const board of data.boards) board.text = board.rows.map(row => row.join(" ").toLowerCase());
const unique = list => [...new Set(list)];
const ofTable = () => data.boards.filter(one => one.table === state.table);
const board = () => ofTable().find(one => one.dataset === state.dataset && one.metric === state.metric);

function options(select, names, chosen) {
  select.innerHTML = names.map(([value, name]) => `<option value="${escaped(value)}">${escaped(name)}</option>`).join("");
  const value = names.some(([one]) => one === chosen) ? chosen : (names[0] ?? [""])[0];
  select.value = value;
  return value;
}
function choose() {
  const boards = ofTable(), datasets = unique(boards.map(one => one.dataset));
  state.dataset = options($("dataset"), datasets.map(one => [one, one]), state.dataset);
  show($("datasets"), datasets.length > 1);
  const metrics = boards.filter(one => one.dataset === state.dataset).map(one => [one.metric, one.title]);
  state.metric = options($("metric"), metrics, state.metric);
  const bases = Object.keys(board().gains);
  state.base = options($("base"), [...bases.map(one => [one, one]), ...(bases.length ? [["", "nothing"]] : [])], state.base);
  show($("bases"), bases.length > 0);
  chips("of-detectors", "Detectors", state.detectors, unique(board().rows.map(row => row[0])).filter(Boolean));
  chips("of-recipes", "Recipes", state.recipes, unique(board().rows.map(row => row[1])));
}
function chips(id, title, chosen, names) {
  for (const name of [...chosen]) if (!names.includes(name)) chosen.delete(name);
  const place = $(id), group = place.querySelector(".chips");
  show(place, names.length > 1);
  group.innerHTML = names.map(name =>
    `<button type="button" aria-pressed="${chosen.has(name)}" title="${escaped(name)}">${escaped(name)}</button>`).join("");
  const count = () => { place.querySelector("summary").textContent =
    `${title} (${chosen.size || "all"} of ${names.length})`; };
  count();
  [...group.children].forEach((chip, at) => { chip.onclick = () => {
    const pressed = chip.getAttribute("aria-pressed") !== "true";
    chip.setAttribute("aria-pressed", pressed);
    pressed ? chosen.add(names[at]) : chosen.delete(names[at]);
    count(); fill();
  }; });
}

// Columns: what each shows, sorts by and copies
function columns(of) {
  const found = of.classifier ? [] : [{key: "detector", label: "detector", name: 0}];
  found.push({key: "recipe", label: "recipe", name: 1});
  const roles = of.sets.filter(one => one === "test" || one === "near" || one === "far");
  const more = of.sets.filter(one => !roles.includes(one));
  for (const part of [...roles, ...(state.every || !roles.length ? more : [])]) {
    const main = roles.includes(part);
    found.push({key: part, label: part, values: of.values[part], main});
    const gains = own(own(of.gains, state.base), part);
    if (gains && main && gains.gain) found.push({key: `gain ${part}`, label: roles.length > 1 ? `gain ${part}` : "gain", gains});
  }
  return found;
}
const at = (column, row) => column ? column[row] ?? null : null;
function key(column, row, of) {
  if (column.name !== undefined) return of.rows[row][column.name];
  return at(column.values ? column.values.mean : column.gains.gain, row);
}
const isSummary = (of, row) => of.summary.includes(of.rows[row][0]);
// All rows in their order, worked out anew only where a head was pressed or the board changed.
let order = [];
function sort(of) {
  const column = shownColumns.find(one => one.key === state.sort), rows = [...of.rows.keys()];
  const keys = column && rows.map(row => key(column, row, of)), last = rows.map(row => isSummary(of, row));
  const sign = state.down ? -1 : 1;
  order = !column ? rows : rows.sort((a, b) => {
    const x = keys[a], y = keys[b];
    if (last[a] !== last[b]) return last[a] - last[b];
    if (x === y) return a - b;
    if (x === null) return 1;
    if (y === null) return -1;
    return (x < y ? -1 : 1) * sign;
  });
}
function chosenRows(of) {
  const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
  const {detectors, recipes} = state, ofDetectors = detectors.size && !of.classifier;
  return order.filter(row => {
    const [detector, recipe] = of.rows[row];
    return (!ofDetectors || detectors.has(detector)) && (!recipes.size || recipes.has(recipe)) &&
      words.every(word => of.text[row].includes(word));
  });
}
// Best and second best of the rows as printed, with ties; where a quarter ties at the metric's bound nothing is marked.
function ranks(of, rows, column) {
  const {mean} = column.values, better = of.lower ? (x, y) => x < y : (x, y) => x > y, bound = of.lower ? 0 : 100;
  let best = null, second = null, size = 0, full = 0;
  const ranked = mean ? rows.filter(row => mean[row] !== null && !isSummary(of, row)) : [];
  for (const row of ranked) {
    const x = mean[row];
    size++;
    if (Math.abs(x - bound) < 0.01 && fixed(x) === fixed(bound)) full++;
    if (best === null || better(x, best)) best = x;
  }
  const first = best === null ? "" : fixed(best);
  for (const row of ranked) {
    const x = mean[row];
    if ((second === null || better(x, second)) && (Math.abs(x - best) > 0.02 || fixed(x) !== first)) second = x;
  }
  const saturated = full > 1 && full >= size / 4;
  if (second === null || saturated) return {first: "", second: "", full: saturated ? full : 0, size};
  return {first, second: size > 2 ? fixed(second) : "", full: 0, size};
}
function markOf(column, row, of) {
  const text = fixed(column.values.mean[row]), {first, second} = column.rank;
  return isSummary(of, row) ? "" : text === first ? "best" : text === second ? "second" : "";
}
// Of all rows, so that bars stay where they are when rows are filtered.
function range(column) {
  let low = Infinity, high = -Infinity;
  for (const name of ["low", "mean", "high"]) for (const x of column.values[name] ?? []) if (x !== null) {
    if (x < low) low = x;
    if (x > high) high = x;
  }
  return high > low ? [low, high] : [low - 1, low + 1];
}
const MARKS = {best: ["<b>", "</b>"], second: ["<u>", "</u>"]};
function cell(column, row, of) {
  if (column.name !== undefined) {
    const name = of.rows[row][column.name], [paper, link] = own(data.papers, name)?.at(-1) ?? ["", ""];
    const outside = column.name === 1 ? own(own(data.outside, of.table), name) : "";
    const shown = link ? `<a href="${escaped(link)}" rel="noreferrer" title="${escaped(paper)}"><bdi>${escaped(name)}</bdi></a>`
      : `<bdi title="${escaped(paper || name)}">${escaped(name)}</bdi>`;
    const flag = outside ? `<span class="flag" title="${escaped(outside)}">outside data<span hidden>: ${escaped(outside)}</span></span>` : "";
    return `<td class="name${column.first ? " first" : ""}">${shown}${flag}</td>`;
  }
  if (column.gains) {
    const {gain, low, high, p} = column.gains, x = at(gain, row);
    if (x === null) return `<td>${NONE}</td>`;
    const significant = at(p, row) !== null && at(p, row) < of.level;
    const kind = significant ? ((x > 0) !== of.lower ? "better" : "worse") : "";
    const small = at(low, row) === null ? "" : `<small>[${points(at(low, row))}, ${points(at(high, row))}]</small>`;
    return `<td class="${kind}">${points(x)}${significant ? "*" : ""}${small}</td>`;
  }
  const {mean, sd, low, high} = column.values, x = at(mean, row);
  if (x === null) return `<td>${NONE}</td>`;
  const [open, close] = MARKS[markOf(column, row, of)] ?? ["", ""];
  let text = `${open}${fixed(x)}${close}`;
  if (at(sd, row) !== null) text += ` ± ${fixed(at(sd, row))}`;
  if (column.main && at(low, row) !== null) {
    const [least, most] = column.range, place = y => (100 * (y - least) / (most - least)).toFixed(1);
    const bounds = `[${fixed(at(low, row), 1)}, ${fixed(at(high, row), 1)}]`;
    text += `<small>${bounds}</small><span class="span"><i style="left:${place(at(low, row))}%;width:` +
      `${(place(at(high, row)) - place(at(low, row))).toFixed(1)}%"></i><s style="left:${place(x)}%"></s></span>`;
  }
  return `<td>${text}</td>`;
}
let shownRows = [], shownColumns = [];
function fill() {
  const of = board(), rows = chosenRows(of), columns = shownColumns;
  for (const column of columns) if (column.values) column.rank = ranks(of, rows, column);
  shownRows = rows;
  const drawn = state.all ? shownRows : shownRows.slice(0, CAP);
  const bases = Object.keys(of.gains);
  $("board").tBodies[0].innerHTML = drawn.map(row => {
    const kind = isSummary(of, row) ? "summary" : bases.includes(of.rows[row][1]) ? "base" : "";
    return `<tr class="${kind}">${columns.map(column => cell(column, row, of)).join("")}</tr>`;
  }).join("");
  const hidden = shownRows.length - drawn.length;
  $("count").textContent = `${shownRows.length} of ${of.rows.length} rows${hidden ? `, the first ${drawn.length} shown` : ""}.`;
  show($("all"), hidden > 0);
  $("all").textContent = `Show all ${shownRows.length}`;
  legend(of, columns);
}
function legend(of, columns) {
  const parts = [`${of.title} in %, ${of.lower ? "lower" : "higher"} is better: mean ± SD over seeds, in brackets and as a bar the ` +
    `${+(100 * (1 - of.level)).toFixed(4)} % interval.`,
  "Bold: best of the rows shown; underlined: second best (ties as printed)."];
  for (const column of columns) if (column.values && column.rank.full)
    parts.push(`Saturated, so not marked: ${column.rank.full} of ${column.rank.size} rows print ${of.lower ? "0.00" : "100.00"} on ${column.label}.`);
  if (columns.some(one => one.gains))
    parts.push(`Gains are paired, in points; *: significant at ${+(100 * of.level).toFixed(4)} % by Holm. Shaded: baselines.`);
  for (const [role, sets] of Object.entries(of.roles)) parts.push(`${role[0].toUpperCase() + role.slice(1)}: mean over ${sets.join(", ")}.`);
  $("legend").textContent = parts.join(" ");
}
function head() {
  const of = board();
  shownColumns = columns(of);
  shownColumns[0].first = true;
  if (!shownColumns.some(one => one.key === state.sort)) {
    state.sort = shownColumns.find(one => one.values)?.key ?? null;
    state.down = !of.lower;
  }
  const row = $("board").tHead;
  row.innerHTML = `<tr>${shownColumns.map(column =>
    `<th scope="col" aria-sort="${column.key === state.sort ? (state.down ? "descending" : "ascending") : "none"}"` +
    ` class="${column.name !== undefined ? "name" : ""}${column.first ? " first" : ""}"><button type="button">` +
    `${escaped(column.label)}</button></th>`).join("")}</tr>`;
  [...row.rows[0].cells].forEach((cell, at) => { cell.firstChild.onclick = () => {
    const column = shownColumns[at], name = column.name !== undefined;
    if (state.sort === column.key) state.down = !state.down;
    else { state.sort = column.key; state.down = !name && !(board().lower); }
    for (const other of row.rows[0].cells) other.setAttribute("aria-sort", "none");
    cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    sort(board());
    fill();
  }; });
  for (const column of shownColumns) if (column.values) column.range = range(column);
  sort(of);
  fill();
}
function changed() { choose(); head(); }
for (const name of ["dataset", "metric", "base"]) $(name).onchange = event => {
  state[name] = event.target.value;
  if (name !== "base") state.sort = null;
  changed();
};
$("find").oninput = event => { state.query = event.target.value; state.all = false; fill(); };
$("every").onchange = event => { state.every = event.target.checked; head(); };
$("all").onclick = () => { state.all = true; fill(); };

// Copies
function plain(column, row, of, form) {
  if (column.name !== undefined) return form.name(of.rows[row][column.name]);
  if (column.gains) {
    const x = at(column.gains.gain, row), p = at(column.gains.p, row);
    return x === null ? form.none : form.gain(points(x), p !== null && p < of.level);
  }
  const x = at(column.values.mean, row), sd = at(column.values.sd, row);
  return x === null ? form.none : form.value(fixed(x), sd === null ? "" : fixed(sd), markOf(column, row, of));
}
const SPECIAL = {"\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", "$": "\\$", "&": "\\&", "#": "\\#", "%": "\\%", "_": "\\_",
  "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}", "\"": "\\textquotedbl{}", "[": "{[}"};
const tex = text => [...text].map(letter => SPECIAL[letter] ?? letter).join("").replace(/-(?=-)/g, "-{}");
const LATEX = {
  none: "--",
  name: tex,
  gain: (text, star) => text.replace(/^-/, "\\ensuremath{-}") + (star ? "\\textsuperscript{*}" : ""),
  value: (text, sd, rank) => {
    const whole = sd ? `${text} \\ensuremath{\\pm} ${sd}` : text;
    return rank === "best" ? `\\textbf{${whole}}` : rank === "second" ? `\\underline{${whole}}` : whole;
  },
};
function latex() {
  const of = board(), columns = shownColumns;
  const spec = columns.map(column => column.name !== undefined ? "l" : "r").join("");
  const lines = shownRows.map(row => `${columns.map(column => plain(column, row, of, LATEX)).join(" & ")} \\\\`);
  return ["% \\usepackage[T1]{fontenc}, \\usepackage{booktabs}", `\\begin{tabular}{${spec}}`, "\\toprule",
    `${columns.map(column => tex(column.label)).join(" & ")} \\\\`, "\\midrule", ...lines, "\\bottomrule", "\\end{tabular}", ""].join("\n");
}
const quoted = text => /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
function csv() {
  const of = board(), lines = [];
  const names = shownColumns.flatMap(column => column.values ? [column.label, `${column.label}_sd`, `${column.label}_low`, `${column.label}_high`]
    : column.gains ? [column.label, `${column.label}_low`, `${column.label}_high`, `${column.label}_p`] : [column.label]);
  lines.push(names.map(quoted).join(","));
  const numbers = (columns, row, names) => names.map(name => at(columns[name], row) ?? "");
  for (const row of shownRows)
    lines.push(shownColumns.flatMap(column => column.values ? numbers(column.values, row, ["mean", "sd", "low", "high"])
      : column.gains ? numbers(column.gains, row, ["gain", "low", "high", "p"])
      : [quoted(of.rows[row][column.name])]).join(","));
  return `${lines.join("\n")}\n`;
}
async function copy(text, what) {
  let done = true;
  try { await navigator.clipboard.writeText(text); } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
  }
  $("status").textContent = done ? `Copied ${shownRows.length} rows as ${what}.` : "This browser does not allow copying.";
}
$("latex").onclick = () => copy(latex(), "LaTeX");
$("csv").onclick = () => copy(csv(), "CSV");

// Figures, drawn when seen
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
function merged(one, other) {
  if (!other || typeof other !== "object" || Array.isArray(other)) return other;
  const found = {...one};
  for (const [name, value] of Object.entries(other)) found[name] = merged(found[name], value);
  return found;
}
function colours() {
  const text = colour("text"), line = colour("line"), labels = {labelColor: text, titleColor: text};
  return {background: colour("ground"), view: {stroke: line}, axis: {...labels, gridColor: line, domainColor: line, tickColor: line},
    legend: labels, header: labels, title: {color: text, subtitleColor: text}, text: {color: text}};
}
function library() {
  if (!window.synthoodVega) {
    const script = document.createElement("script");
    script.textContent = $("vega").textContent;
    document.head.append(script);
  }
  return window.synthoodVega;
}
const views = new Map();
function tooltip(_, event, item, value) {
  const tip = $("tip");
  if (value === null || value === undefined || value === "") { tip.hidden = true; return; }
  tip.innerHTML = typeof value === "object"
    ? `<table>${Object.entries(value).map(([name, one]) => `<tr><td>${escaped(name)}</td><td>${escaped(one)}</td></tr>`).join("")}</table>`
    : escaped(value);
  tip.hidden = false;
  const {width, height} = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 4))}px`;
  tip.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 8 : event.clientY + 18}px`;
}
async function draw(figure) {
  const chart = figure.querySelector(".chart"), {title, spec = costs.figures[figure.dataset.figure]} = data.figures[figure.dataset.figure];
  views.get(figure)?.finalize();
  try {
    const vega = library();
    const compiled = vega.compile({...spec, config: merged(spec.config ?? {}, colours())}, {logger: QUIET}).spec;
    compiled.description ??= title;
    const view = new vega.View(vega.parse(compiled, null, {ast: true}), {expr: vega.expressionInterpreter, renderer: "svg",
      container: chart, hover: true, tooltip, logger: QUIET, loader: INLINE});
    views.set(figure, view);
    await view.runAsync();
    chart.style.minHeight = "0";
    if (chart.scrollWidth > chart.clientWidth) chart.tabIndex = 0;
  } catch (error) {
    chart.textContent = `This figure cannot be drawn: ${error.message}`;
  }
}
const refused = async () => { throw new Error("the page loads nothing from outside"); };
// Pictures in a specification are data; all else would come from outside.
const inline = async address => address.startsWith("data:image/") ? {href: address} : refused();
const INLINE = {load: refused, sanitize: inline, http: refused, file: refused};
const QUIET = {level() { return this; }, error(message) { throw new Error(message); }, warn() { return this; }, info() { return this; }, debug() { return this; }};
const seen = new IntersectionObserver(entries => {
  for (const {isIntersecting, target} of entries) if (isIntersecting) {
    seen.unobserve(target);
    target.dataset.image === undefined ? draw(target) : picture(target);
  }
}, {rootMargin: "300px"});
async function picture(image) {
  const bytes = Uint8Array.from(atob(data.images[image.dataset.image]), letter => letter.charCodeAt(0));
  image.src = URL.createObjectURL(new Blob([bytes], {type: "image/webp"}));
}
for (const figure of document.querySelectorAll("[data-figure]")) {
  seen.observe(figure);
  for (const button of figure.querySelectorAll("[data-save]")) button.onclick = async () => {
    if (!views.has(figure)) await draw(figure);
    const form = button.dataset.save, {table, name} = data.figures[figure.dataset.figure];
    const link = document.createElement("a");
    link.href = await views.get(figure).toImageURL(form, 2);
    link.download = `${table}-${name}.${form}`;
    link.click();
  };
}
for (const image of document.querySelectorAll("[data-image]")) seen.observe(image);

// Times
$("times").innerHTML = costs.rows.length ? `<div class="scroll" tabindex="0" role="region" aria-label="Time and memory"><table class="plain"><thead><tr>${costs.head
  .map(name => `<th scope="col">${name}</th>`).join("")}</tr></thead><tbody>${costs.rows.map(row => `<tr>${row.map(one => `<td>${escaped(one)}</td>`).join("")}</tr>`).join("")}</tbody></table></div>`
  : `<p>No times: the results have no provenance.</p>`;

// Theme and table
const root = document.documentElement;
function themed() { $("theme").setAttribute("aria-checked", root.dataset.theme === "dark"); }
$("theme").onclick = () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("synthood-theme", root.dataset.theme); } catch { /* a file may have no storage */ }
  themed();
  for (const figure of [...views.keys()]) draw(figure);
};
themed();
function tableChosen() {
  for (const part of document.querySelectorAll("[data-table]"))
    if (!part.closest("#summary")) part.hidden = part.dataset.table !== state.table;
  for (const grid of document.querySelectorAll(".figures")) {
    const shown = [...grid.children].filter(one => !one.hidden);
    grid.classList.toggle("alone", shown.length === 1);
    grid.parentNode.hidden = !shown.length && !grid.parentNode.querySelector("p:not([hidden])");
  }
  changed();
}
if ($("table")) $("table").onchange = event => { state.table = event.target.value; tableChosen(); };
tableChosen();
document.documentElement.dataset.ready = "";
}
// After the summary is on the screen
requestAnimationFrame(() => setTimeout(start));
