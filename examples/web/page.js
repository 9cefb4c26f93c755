// The page: what is chosen, dropped or clicked becomes runs of the explained model, and their maps become pictures.

import { ExplainedModel, colourLayer, isSigned, overlay } from "./explained_model/index.js";
import { readPhoto, savePicture } from "./photo.js";
import { loadRuntime } from "./runtime.js";
import { describeModel, drawLegend, listClasses, percent, whereabouts } from "./view.js";

const TOP = 5;

const $ = (id) => document.getElementById(id);
const runtime = loadRuntime(showRuntime);

let model; // ExplainedModel
let photo; // of readPhoto
let input; // the photo as the model takes it
let classes = []; // all, the most probable first
let maps = new Map(); // explanations by layer and class index
let shown; // what is on display: {chosen, source}

/** Do one thing after another: a session runs one at a time, and what is clicked meanwhile waits its turn. */
let work = Promise.resolve();
function inTurn(what, task) {
  work = work.then(async () => {
    $("status").textContent = what;
    document.body.ariaBusy = "true";
    await new Promise((painted) => setTimeout(painted, 20)); // a run holds up drawing, so the message comes first
    try {
      await task();
    } catch (error) {
      complain(error.message);
    }
    $("status").textContent = shown ? summary(shown) : `Choose ${model ? "a photo" : "an explained model"} to begin.`;
    document.body.ariaBusy = "false";
  });
}

function useModel(file, name) {
  inTurn(`Loading ${name} …`, async () => {
    const bytes = new Uint8Array(await file.arrayBuffer());
    model = await ExplainedModel.open(await runtime, bytes).catch((error) => {
      throw new Error(`${name}: ${error.message}`);
    });
    describeModel(model, name);
    if (photo) await classify();
  });
}

function usePhoto(file, name) {
  inTurn(`Reading ${name} …`, async () => {
    photo = await readPhoto(file, name);
    showPhoto();
    if (model) await classify();
  });
}

async function classify() {
  // First of all nothing of an earlier photo or model is left to be taken for this one's.
  clear();
  input = model.prepare(photo);
  classes = await model.classify(input);
  const top = classes.slice(0, TOP);
  listClasses(top, classes, top[0]);
  await explain(top[0]);
}

async function explain(chosen) {
  if (!classes.includes(chosen)) return; // clicked while another photo or model was on its way
  const layer = $("layer").value;
  const key = (index) => `${layer} ${index}`;
  if (!maps.has(key(chosen.index))) {
    // Where a run takes any number of classes, the top ones together cost little more than one.
    const top = classes.slice(0, TOP);
    const wanted = model.fixedTargets === undefined && top.includes(chosen) ? top : [chosen];
    const found = await model.explain(input, wanted.map(({ index }) => index), layer);
    for (const explanation of found) maps.set(key(explanation.target), explanation);
  }
  const explanation = maps.get(key(chosen.index));
  shown = { chosen, score: explanation.score, source: model.toSource(explanation.heatmap, photo) };
  showHeatmap();
  const detail = { ...chosen, ...explanation, layer, source: shown.source };
  document.dispatchEvent(new CustomEvent("explained", { detail })); // for pages that embed this one, and for tests
}

function showPhoto() {
  clear();
  $("empty").hidden = true;
  $("picture").hidden = false;
  for (const id of ["photo", "heat"]) Object.assign($(id), { width: photo.width, height: photo.height });
  $("photo").getContext("2d").drawImage(photo.canvas, 0, 0);
  $("photo").ariaLabel = `The photo ${photo.name}`;
  $("caption").textContent = `${photo.name}, ${photo.width} × ${photo.height}`;
}

function showHeatmap() {
  const { chosen, source } = shown;
  const pixels = new ImageData(colourLayer(source), source.width, source.height);
  $("heat").getContext("2d").putImageData(pixels, 0, 0);
  $("heat").ariaLabel = `Heatmap of ${chosen.label}: ${whereabouts(source)}`;
  $("caption").textContent = `${photo.name}: ${chosen.label}`;
  drawLegend(isSigned(source));
  $("save").disabled = false;
}

function clear() {
  [input, classes, maps, shown] = [undefined, [], new Map(), undefined];
  $("rows").replaceChildren();
  $("other").hidden = $("legend").hidden = $("save").disabled = true;
  $("heat").getContext("2d").clearRect(0, 0, $("heat").width, $("heat").height);
  $("heat").ariaLabel = "No heatmap yet";
}

const summary = ({ chosen, score }) => `${chosen.label}: ${percent(chosen.probability)}, score ${score.toFixed(2)}`;

function showRuntime(name, reason) {
  Object.assign($("runtime"), { textContent: name, hidden: false });
  if (reason) complain(`${reason.slice(0, 200)}. The model now runs on ${name}; results are not affected.`);
}

function complain(message) {
  $("alert-text").textContent = message;
  $("alert").hidden = false;
}

function dismiss() {
  $("alert").hidden = true;
}

function take(files) {
  if (files.length) dismiss();
  const isModel = (file) => file.name.toLowerCase().endsWith(".onnx");
  const list = [...files];
  const found = list.find(isModel);
  const image = list.find((file) => !isModel(file));
  if (found) useModel(found, found.name);
  if (image) usePhoto(image, image.name);
}

function setOpacity() {
  const value = $("opacity").value;
  $("heat").style.opacity = value / 100;
  $("opacity").ariaValueText = $("opacity-value").textContent = `${value} %`;
}

for (const id of ["model-file", "photo-file"]) {
  $(id).addEventListener("change", ({ target }) => {
    take(target.files);
    target.value = ""; // so that the same file can be chosen again
  });
}
$("example").addEventListener("click", async () => {
  dismiss();
  usePhoto(await (await fetch("photo.png")).blob(), "photo.png");
});
$("rows").addEventListener("change", ({ target }) => {
  dismiss();
  const chosen = classes.find(({ index }) => index === Number(target.value));
  inTurn(`Explaining ${chosen.label} …`, () => explain(chosen));
});
$("other").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = $("other-class").value.trim().toLowerCase();
  const chosen = classes.find(({ index, label }) => [String(index), label.toLowerCase()].includes(wanted));
  if (!chosen) return complain(`The model has no class “${wanted}”; take a name from the list, or a number`);
  dismiss();
  const top = classes.slice(0, TOP);
  listClasses(top.includes(chosen) ? top : [...top, chosen], classes, chosen);
  inTurn(`Explaining ${chosen.label} …`, () => explain(chosen));
});
$("layer").addEventListener("change", () => {
  dismiss();
  if (shown) inTurn("Explaining another layer …", () => shown && explain(shown.chosen));
});
$("opacity").addEventListener("input", setOpacity);
$("save").addEventListener("click", () => {
  const pixels = overlay(photo, shown.source, $("opacity").value / 100);
  savePicture(pixels, photo.height, photo.width, `${photo.name.replace(/\.\w+$/, "")}-${shown.chosen.index}.png`);
});
$("dismiss").addEventListener("click", dismiss);
addEventListener("paste", ({ clipboardData }) => take(clipboardData.files));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  take(event.dataTransfer.files);
});

setOpacity();
const response = await fetch("model.onnx");
if (response.ok) useModel(response, "model.onnx");
else complain("The server has no model.onnx; choose an explained model of your own");
