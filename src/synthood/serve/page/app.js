"use strict";
// Images are sent one by one; verdicts of this visit stay in this page alone.
const AT_ONCE = 4, WIDTH = 320, ROW = 40, LABEL = 16, FOOT = 18;
const at = (id) => document.getElementById(id);
const entries = [];
let detector = null;

function make(tag, parent, text, attributes = {}) {
  const svg = ["svg", "path", "rect", "text"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  parent?.append(node);
  return node;
}

function percent(share) {
  const value = 100 * share;
  return `${value < 10 ? Number(value.toPrecision(2)) : Math.round(value)}\u00a0%`;
}

const level = () => Number(at("level").value);
const unknown = (answer) => answer.p_value <= level();

async function begin() {
  const answer = await fetch("v1/detector");
  if (!answer.ok) throw new Error((await answer.json()).error);
  detector = await answer.json();
  const named = detector.classes.slice(0, 8).join(", ");
  at("classes").textContent = `${detector.classes.length} classes (${named}${detector.classes.length > 8 ? ", …" : ""})`;
  for (const share of detector.levels) make("option", at("level"), percent(share), { value: share });
  at("level").value = detector.level;
  const { kind } = detector.detector;
  const rows = {
    Classes: detector.classes.join(", "),
    "Method of rejection": kind,
    "Images are judged at": `${detector.width}x${detector.height} pixels`,
    Promise: detector.guarantee,
    Warnings: detector.warnings.join(" "),
  };
  for (const [name, value] of Object.entries(rows)) {
    if (value) make("dt", at("facts"), name), make("dd", at("facts"), value);
  }
}

// The share of a set's test images with a confidence below a value, linear within a bin.
function below(counts, edges, value) {
  let found = 0, all = 0;
  counts.forEach((count, bin) => {
    const part = (value - edges[bin]) / (edges[bin + 1] - edges[bin]);
    found += count * Math.min(1, Math.max(0, part));
    all += count;
  });
  return all ? found / all : 0;
}

function histogram(parent, confidence) {
  const { edges, counts } = detector.histograms;
  if (!counts) return void make("p", parent, "The detector came without test images to compare with.", { class: "note" });
  const words = counts.map(([name, own]) => `${percent(below(own, edges, confidence))} of ${name}`);
  make("p", parent, `Confidence ${confidence.toPrecision(3)} is higher than that of about ${words.join(", ")}.`);
  const height = (ROW + LABEL) * counts.length + FOOT;
  const low = edges[0], high = edges[edges.length - 1], step = WIDTH / (edges.length - 1);
  const picture = make("svg", parent, "", {
    viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": "Histograms of confidence of the test images, and this image",
  });
  counts.forEach(([name, own], row) => {
    const floor = (ROW + LABEL) * (row + 1), most = Math.max(...own, 1);
    const bars = own.map((count, bin) =>
      count ? `M${(bin * step).toFixed(1)} ${floor}v${(-ROW * count / most).toFixed(1)}h${(step - 1).toFixed(1)}V${floor}z` : "");
    const kind = row === 0 && detector.id_images ? "idfill" : "oodfill";
    make("path", picture, "", { class: kind, d: bars.join("") });
    make("path", picture, "", { class: "axis", d: `M0 ${floor}H${WIDTH}` });
    make("text", picture, name, { x: 0, y: floor - ROW - 3 });
  });
  const x = Math.min(WIDTH - 1, Math.max(1, WIDTH * (confidence - low) / (high - low)));
  make("path", picture, "", { class: "here", d: `M${x.toFixed(1)} ${LABEL}V${height - FOOT}` });
  make("text", picture, low.toPrecision(3), { x: 0, y: height - 4 });
  make("text", picture, "this image", { x, y: height - 4, "text-anchor": x < 80 ? "start" : x > WIDTH - 80 ? "end" : "middle" })
    .setAttribute("visibility", x < 60 || x > WIDTH - 60 ? "hidden" : "visible");
  make("text", picture, high.toPrecision(3), { x: WIDTH, y: height - 4, "text-anchor": "end" });
}

function likely(parent, top) {
  const body = make("tbody", make("table", parent));
  for (const { label, probability } of top) {
    const row = make("tr", body);
    make("th", row, label, { scope: "row" });
    const bar = make("svg", make("td", row, "", { class: "bar" }), "", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
    make("rect", bar, "", { class: "idfill", width: Math.max(0.5, 100 * probability), height: 10 });
    make("td", row, percent(probability), { class: "value" });
  }
}

function shown(entry) {
  const { answer, error } = entry;
  const card = make("article");
  const top = make("div", card, "", { class: "top" });
  const picture = make("img", top, "", { src: entry.address, alt: "" });
  picture.addEventListener("error", () => picture.classList.add("none"));
  const words = make("div", top);
  if (!answer) {
    card.className = error ? "bad" : "";
    make("h3", words, error ? "No verdict" : "Being judged …");
    make("p", words, entry.name, { class: "name" });
    if (error) make("p", words, `${error.charAt(0).toUpperCase()}${error.slice(1)}.`);
    return card;
  }
  const rejected = unknown(answer), share = percent(answer.p_value);
  card.className = rejected ? "unknown" : "known";
  make("h3", words, rejected ? "Unknown: rejected" : `Known: ${answer.label}`);
  make("p", words, entry.name, { class: "name" });
  make("p", words, `p-value ${answer.p_value.toPrecision(2)}: about ${share} of known images look at least as unusual. ` +
    (rejected ? `That is at most ${percent(level())}, so the image is rejected; the nearest class is ${answer.label}.`
      : `That is more than ${percent(level())}, so the image is accepted as ${answer.label}.`));
  if (answer.note) make("p", words, `Before it was judged: ${answer.note}.`, { class: "note" });
  const more = make("div", card, "", { class: "more" });
  const left = make("div", more), right = make("div", more);
  make("h4", left, "Most similar classes");
  likely(left, answer.top);
  make("h4", right, "Among the test images");
  histogram(right, answer.confidence);
  return card;
}

function draw(entry) {
  entry.item.replaceChildren(shown(entry));
}

function say() {
  const done = entries.filter((one) => one.answer || one.error);
  const rejected = done.filter((one) => one.answer && unknown(one.answer)).length;
  const bad = done.filter((one) => one.error).length;
  const waiting = entries.length - done.length;
  const parts = [`${done.length - rejected - bad} known`, `${rejected} unknown`];
  if (bad) parts.push(`${bad} without a verdict`);
  if (waiting) parts.push(`${waiting} being judged`);
  at("status").textContent = entries.length ? `${parts.join(", ")}.` : "";
  at("none").hidden = entries.length > 0;
  at("clear").disabled = entries.length === 0 || waiting > 0;
}

async function judge(entry) {
  try {
    if (entry.file.size > detector.limits.max_bytes) throw new Error(`more than ${detector.limits.max_bytes} bytes`);
    const headers = { "Content-Type": "application/octet-stream" };
    const answer = await fetch("v1/image", { method: "POST", body: entry.file, headers });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    entry.answer = found;
  } catch (problem) {
    entry.error = problem instanceof TypeError ? "the server does not answer" : problem.message;
  }
  delete entry.file;
  draw(entry);
  say();
}

async function add(files) {
  if (!detector || !files.length) return;
  const fresh = files.map((file) => {
    const entry = { file, name: file.name || "from the clipboard", address: URL.createObjectURL(file), item: make("li") };
    entries.push(entry);
    at("list").prepend(entry.item);
    draw(entry);
    return entry;
  });
  say();
  const worker = async () => {
    for (let entry = fresh.shift(); entry; entry = fresh.shift()) await judge(entry);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

at("files").addEventListener("change", (event) => {
  add([...event.target.files]);
  event.target.value = "";
});
at("form").addEventListener("submit", (event) => event.preventDefault());
at("level").addEventListener("change", () => { entries.forEach(draw); say(); });
at("clear").addEventListener("click", () => {
  for (const entry of entries.splice(0)) URL.revokeObjectURL(entry.address);
  at("list").replaceChildren();
  say();
  at("files").focus();
});
document.addEventListener("paste", (event) => add([...event.clipboardData.files]));
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") add([...event.dataTransfer.files]);
  });
}
begin().catch((problem) => { at("status").textContent = `The detector cannot be read: ${problem.message}.`; });
