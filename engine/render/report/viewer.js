// One image: its photo under a map, the counterfactual map beside it, and what chooses among them.

const viewer = document.getElementById("viewer");
const control = Object.fromEntries(
  ["predictions", "methods", "layers", "layer", "opacity", "threshold", "spot"].map((id) => [id, document.getElementById(id)]),
);
// Maps over a photo start as `overlay` draws them, maps of pixels by themselves.
const look = { overlay: 0.5, pixels: 1, threshold: 0, hidden: false };
let wantedLayer = settings.layer; // kept while a method is shown that has no layers
let current = null; // { index, image, map, cursor: [y, x] in pixels of the photo as it was read, or null }

/** One of the two figures: a map over the photo. */
class Figure {
  constructor(id) {
    this.root = document.getElementById(id);
    this.part = Object.fromEntries([...this.root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
    this.stage = this.root.querySelector(".stage");
    this.stage.addEventListener("pointermove", (event) => moveTo(this.pixelUnder(event)));
    this.stage.addEventListener("pointerdown", (event) => moveTo(this.pixelUnder(event)));
    this.stage.addEventListener("pointerleave", () => document.activeElement !== this.stage && moveTo(null));
    this.stage.addEventListener("focus", () => current.cursor ?? moveTo(current.image.size.map((side) => side >> 1)));
    this.stage.addEventListener("keydown", (event) => this.onKey(event));
  }

  pixelUnder(event) {
    const box = this.stage.getBoundingClientRect();
    const [rows, columns] = current.image.size;
    return within([
      Math.floor(((event.clientY - box.top) / box.height) * rows),
      Math.floor(((event.clientX - box.left) / box.width) * columns),
    ]);
  }

  onKey(event) {
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!way && event.key !== "Home") return;
    event.preventDefault();
    if (!way) return void (this.heatmap && moveTo(this.heatmap.peakPlace()));
    const step = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(...current.image.size) / 50));
    moveTo(within(current.cursor.map((at, axis) => at + step * way[axis])));
  }

  /** Puts in the photo, and the map once it is unpacked. */
  async show(image, map, name, summary) {
    const { photo, canvas, window: frame, value, note } = this.part;
    [this.map, this.heatmap] = [map, null];
    this.part.class.textContent = name;
    this.part.class.title = summary;
    if (photo.src !== image.photo) canvas.width = 0;
    photo.src = image.photo;
    photo.alt = `Photo ${image.name}`;
    this.stage.setAttribute("aria-label", `Heatmap of ${summary} over ${image.name}; arrow keys move the cursor`);
    this.stage.style.aspectRatio = `${image.size[1]} / ${image.size[0]}`;
    this.stage.style.setProperty("--ratio", image.size[1] / image.size[0]);
    this.stage.classList.toggle("coarse", Math.max(...image.photoSize) < 128);
    const [left, top, width, height] = image.window;
    const [rows, columns] = image.size;
    Object.assign(frame.style, {
      left: `${(100 * left) / columns}%`, top: `${(100 * top) / rows}%`,
      width: `${(100 * width) / columns}%`, height: `${(100 * height) / rows}%`,
    });
    value.textContent = note.textContent = "";
    const heatmap = await heatmapOf(image, map);
    if (this.map !== map) return; // another one was chosen meanwhile
    this.heatmap = heatmap;
    this.showLegend(heatmap);
    heatmap.draw(canvas, look.threshold);
    const details = Object.entries(map.details).map(([key, number]) => `${key.replaceAll("_", " ")} ${number?.toPrecision(3)}`);
    const empty = heatmap.values.every((one) => one === 0) ? ["The map is zero everywhere."] : [];
    const relief = map.look === "relief" ? ["Grey is zero; colours are those in which the photo would change."] : [];
    note.textContent = [...empty, ...relief, ...details].join(" ");
    this.restyle();
    this.read();
  }

  /** The colours, where a value has one: a map of pixels is cut off at a peak, one in the photo's colours has none. */
  showLegend({ signed, map }) {
    const end = map.peak === undefined ? "1" : `\u2265 ${map.peak.toFixed(2)}`;
    this.part.legend.hidden = map.look === "relief";
    this.part.low.textContent = signed ? `\u2212${end.replace("\u2265 ", "")}` : "0";
    this.part.high.textContent = end;
    this.part.bar.style.background = gradient(signed);
  }

  redraw() {
    this.heatmap?.draw(this.part.canvas, look.threshold);
  }

  restyle() {
    const kind = this.map?.look === "overlay" ? "overlay" : "pixels";
    this.part.canvas.style.opacity = look.hidden ? 0 : look[kind];
  }

  /** Shows the value under the cursor. */
  read() {
    const { cross, value } = this.part;
    cross.hidden = !current.cursor;
    value.textContent = "";
    if (!current.cursor) return;
    const [y, x] = current.cursor;
    const [rows, columns] = current.image.size;
    Object.assign(cross.style, { left: `${(100 * (x + 0.5)) / columns}%`, top: `${(100 * (y + 0.5)) / rows}%` });
    if (this.heatmap) value.textContent = this.heatmap.valueAt(y, x).toFixed(3).replace("-", "\u2212");
  }
}

const figures = { explanation: new Figure("explanation"), against: new Figure("against") };

function within(place) {
  return place.map((at, axis) => Math.min(Math.max(at, 0), current.image.size[axis] - 1));
}

/** Moves the cursor in both figures, or takes it away. */
function moveTo(place) {
  current.cursor = place;
  for (const figure of Object.values(figures)) figure.read();
  control.spot.textContent = place
    ? `x ${place[1]}, y ${place[0]}: ` + Object.values(figures).filter((one) => !one.root.hidden)
      .map((one) => `${one.part.value.textContent} ${one === figures.against ? "against" : "for"}`).join(", ")
    : "";
}

/** The map that is wanted, or the nearest one that there is: method first, then class, then layer. */
function chosenMap(maps, wanted) {
  const narrowed = (found, key) => {
    const fitting = found.filter((map) => String(map[key] ?? "") === String(wanted[key] ?? ""));
    return fitting.length ? fitting : found;
  };
  return narrowed(narrowed(narrowed(maps, "method"), "target"), "layer")[0];
}

/** Shows an image; `wanted` names method, layer and class (target), each of which may be missing. */
function showImage(index, wanted) {
  if (current?.index !== index) current = { index, image: imageData(index), cursor: null };
  const { image } = current;
  const offered = image.maps.filter((map) => settings.methods.includes(map.method));
  if (wanted.layer) wantedLayer = wanted.layer;
  const { method = settings.methods[0], target } = wanted;
  const map = chosenMap(offered.length ? offered : image.maps, { method, target, layer: wantedLayer });
  const opposed = image.maps.filter((one) => one.method === settings.against && one.target === map.target);
  const against = chosenMap(opposed, { ...map, layer: wantedLayer });
  current.map = map;
  const named = image.predictions.find((one) => one.target === map.target);
  document.getElementById("name").textContent = image.name;
  document.getElementById("share-name").textContent = named.share === null ? "" : image.shareName;
  fillPredictions(image, map, offered);
  fillMethods(offered, map);
  fillLayers(offered, map);
  showSliders();
  const place = map.layer ? ` at ${map.layer}` : "";
  figures.explanation.show(image, map, named.name, `${map.method}${place}, ${named.label}`);
  figures.against.root.hidden = !against || map.method === settings.against;
  if (!figures.against.root.hidden) figures.against.show(image, against, named.name, `${against.method} at ${against.layer}, ${named.label}`);
  control.spot.textContent = image.problems.join(" ");
}

function showSliders() {
  const kind = current.map.look === "overlay" ? "overlay" : "pixels";
  for (const [id, value] of [["opacity", look[kind]], ["threshold", look.threshold]]) {
    control[id].value = value;
    control[id].setAttribute("aria-valuetext", (document.getElementById(`${id}-value`).textContent = value.toFixed(2)));
  }
}

function percentage(share) {
  if (share === null) return "";
  return share > 0 && share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;
}

function fillPredictions(image, map, offered) {
  const explained = new Set(offered.map((one) => one.target));
  const longest = Math.max(...image.predictions.map((one) => one.share ?? Math.abs(one.score ?? 0))) || 1;
  const rows = image.predictions.map((one) => {
    const row = document.createElement("li");
    const inner = document.createElement(explained.has(one.target) ? "button" : "div");
    if (inner.tagName === "BUTTON") {
      Object.assign(inner, { type: "button", onclick: () => choose({ target: one.target }) });
      inner.setAttribute("aria-pressed", String(one.target === map.target));
    }
    inner.title = explained.has(one.target) ? one.label : `${one.label} (not explained)`;
    const bar = document.createElement("i");
    bar.style.width = `${(100 * Math.max(0, one.share ?? (one.score ?? 0) / longest)).toFixed(2)}%`;
    const cells = { class: one.name, share: percentage(one.share), score: one.score?.toFixed(2) ?? "" };
    inner.append(bar, ...Object.entries(cells).map(([name, text]) => {
      const cell = Object.assign(document.createElement("span"), { className: name, textContent: text });
      if (name === "score") cell.title = "score before softmax or sigmoid";
      return cell;
    }));
    row.append(inner);
    return row;
  });
  const focused = control.predictions.contains(document.activeElement);
  control.predictions.replaceChildren(...rows);
  if (focused) control.predictions.querySelector("[aria-pressed=true]")?.focus();
}

function fillMethods(offered, map) {
  const names = settings.methods.filter((name) => offered.some((one) => one.method === name));
  control.methods.hidden = names.length < 2;
  const focused = control.methods.contains(document.activeElement);
  control.methods.querySelector(".choices").replaceChildren(...names.map((name) => {
    const label = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "method", value: name, checked: name === map.method });
    radio.onchange = () => choose({ method: name });
    label.append(radio, name);
    return label;
  }));
  if (focused) control.methods.querySelector(":checked")?.focus();
}

/** The layers at which the chosen method explains. */
function layersOf(offered, map) {
  return [...new Set(offered.filter((one) => one.method === map.method && one.layer).map((one) => one.layer))];
}

function fillLayers(offered, map) {
  const names = layersOf(offered, map);
  control.layers.hidden = names.length < 2;
  control.layer.replaceChildren(...names.map((name) => new Option(name, name, false, name === map.layer)));
}

/** Goes to another map of the shown image, and notes it in the address. */
function choose(change) {
  const { method, target } = current.map;
  showImage(current.index, { method, target, ...change });
  history.replaceState(null, "", address(current.index, current.map));
}

/** Steps through a list of choices. */
function following(names, name) {
  return names[(names.indexOf(name) + 1) % names.length];
}

control.layer.onchange = () => choose({ layer: control.layer.value });
control.opacity.oninput = () => {
  look[current.map.look === "overlay" ? "overlay" : "pixels"] = Number(control.opacity.value);
  look.hidden = false;
  showSliders();
  for (const figure of Object.values(figures)) figure.restyle();
};
control.threshold.oninput = () => {
  look.threshold = Number(control.threshold.value);
  showSliders();
  for (const figure of Object.values(figures)) figure.redraw();
};
