"use strict";
// A photograph goes to the server of this page; its logits come back, and class priors are computed here (Eq. 4).

const SHOWN = 5, RETRIES = 3000;
const at = (id) => document.getElementById(id);
const main = at("main"), slider = at("slider");
let model = null, answer = null, latest = 0, isMoved = false, picture = null, content = null;

function make(kind, text, name) {
  const element = document.createElement(kind);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}

function say(text, isFault = false) {
  at("status").textContent = text;
  at("status").className = isFault ? "status fault" : "status";
}

function percent(p) { return `${(100 * p).toFixed(1)} %`; }

function softmax(z) {
  const largest = Math.max(...z), e = z.map((value) => Math.exp(value - largest));
  const total = e.reduce((sum, value) => sum + value, 0);
  return e.map((value) => value / total);
}

// Eq. 4: logits under the prior that the slider names, from uniform (0) to that of training (1), its log in between
function adjust(z) {
  const t = slider.valueAsNumber / 100;
  return z.map((value, c) => value / model.temperature
    + (isMoved ? t * model.log_train[c] - model.log_assumed[c] : 0));
}

function findBest(p, n) {
  return Array.from(p.keys()).sort((a, b) => p[b] - p[a] || a - b).slice(0, n);
}

function showClasses() {
  const mean = answer.logits[0].map((_, c) => answer.logits.reduce((sum, z) => sum + z[c], 0) / answer.logits.length);
  const p = softmax(adjust(mean));
  at("classes").replaceChildren(...findBest(p, SHOWN).map((c) => {
    const { name, images, group } = model.classes[c];
    const item = make("li"), words = make("span", undefined, "name"), bar = make("span", undefined, "bar");
    words.append(make("bdi", name), " ", make("span", `${images.toLocaleString("en")} training image${images === 1 ? "" : "s"}, ${group}`, "small"));
    const fill = make("span", undefined, `fill ${group}`);
    fill.style.width = `${100 * p[c]}%`;
    bar.append(fill);
    item.append(words, make("span", percent(p[c]), "percent"), bar);
    return item;
  }));
}

function showVotes() {
  at("votes-part").hidden = answer.logits.length < 2;
  at("votes").replaceChildren(...answer.logits.map((z, k) => {
    const p = softmax(adjust(z)), [best] = findBest(p, 1), row = make("tr");
    const head = make("th", `${k + 1}`);
    head.scope = "row";
    row.append(head, make("td", model.classes[best].name), make("td", percent(p[best]), "n"));
    return row;
  }));
}

function showPrior() {
  at("prior").hidden = model.log_assumed === null;
  at("reset").hidden = !isMoved;
  const share = slider.valueAsNumber;
  const place = share === 0 ? "All classes are equally frequent." : share === 100 ? "The classes are as frequent as in training."
    : `${share} % of the way from equally frequent classes to those of training.`;
  at("prior-now").value = isMoved ? place : `These probabilities are ${model.prior}.`;
}

function showSet() {
  at("set-part").hidden = answer.set === null;
  if (answer.set === null) return;
  at("set").replaceChildren(...answer.set.map((name) => make("span", name)));
  const best = model.classes.findIndex((each) => each.name === answer.set[0]);
  at("set-note").textContent = `The sets hold the true class of ${model.promises[best] ?? "the images asked for"}. `
    + "The set is that of the calibration and does not move with the slider.";
}

function showNear() {
  at("near").replaceChildren(...answer.near.map(({ uri, name, label, cosine }) => {
    const item = make("li");
    let image = make("span", "not readable", "gone");
    if (uri) {
      image = make("img");
      image.src = uri;
      image.alt = name;
      if (uri.startsWith("data:image/png")) image.className = "crisp";
    }
    item.append(image, make("bdi", label), make("br"), make("span", `cosine ${cosine.toFixed(2)}, ${name.split("/").pop()}`, "small"));
    item.title = name;
    return item;
  }));
  at("near-note").textContent = [answer.near.length ? "By the features of the model." : "", answer.near_note].join(" ").trim();
}

function show() {
  showClasses();
  showVotes();
  showPrior();
  showSet();
  showNear();
  at("result").hidden = false;
}

async function ask(path, options) {
  const response = await fetch(path, options), found = await response.json();
  if (!response.ok) throw new Error(found.error);
  return found;
}

async function classify(photograph, number) {
  const found = await ask("photograph", { method: "POST", body: photograph, headers: { "Content-Type": "application/octet-stream" } });
  if (number !== latest) return; // another photograph was given meanwhile
  answer = found;
  show();
  say("");
  if (/being read|are read/.test(answer.near_note)) setTimeout(() => { if (number === latest) refresh(number); }, RETRIES);
}

function refresh(number) { classify(content, number).catch(() => {}); }

async function take(photograph) {
  if (!photograph) return;
  const number = ++latest;
  if (photograph.size > Number(main.dataset.mostBytes)) {
    return say(`This photograph is over ${Number(main.dataset.mostBytes) / 2 ** 20} MB.`, true);
  }
  say("The model looks at the photograph.");
  try {
    await classify(photograph, number);
    if (number !== latest) return;
    content = photograph;
    showPhotograph(photograph);
  } catch (error) {
    if (number === latest) say(error instanceof TypeError ? "The server does not answer; is longtail try still running?" : error.message, true);
  }
}

function showPhotograph(photograph) {
  if (picture) URL.revokeObjectURL(picture);
  picture = URL.createObjectURL(photograph);
  const image = at("photo");
  image.hidden = false;
  image.onload = () => { image.className = image.naturalWidth <= 64 ? "tiny" : ""; };
  image.onerror = () => { image.hidden = true; }; // a format that the model reads and the browser does not
  image.src = picture;
  at("caption").textContent = photograph.name || "";
}

slider.addEventListener("input", () => { isMoved = true; if (answer) show(); });
at("reset").addEventListener("click", () => { isMoved = false; place(); if (answer) show(); });
at("file").addEventListener("change", (event) => { take(event.target.files[0]); event.target.value = ""; });
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop") take(event.dataTransfer.files[0]);
  });
}
document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));

// the slider stands where the model was trained, as far as that is one of its ends
function place() { slider.value = model.log_assumed !== null && new Set(model.log_assumed.map((x) => x.toFixed(4))).size === 1 ? 0 : 100; }

ask("model.json").then((found) => { model = found; place(); say(""); }, (error) => say(error.message, true));
