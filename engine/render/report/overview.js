// All images: cards that are drawn when they come into view, sorted and filtered.

const overview = document.getElementById("overview");
const query = Object.fromEntries(
  ["text", "measure", "least", "most", "sort", "order", "rows", "count"].map((id) => [id, document.getElementById(id)]),
);
const list = document.getElementById("cards");
const cards = [...list.children];
const collator = new Intl.Collator(undefined, { numeric: true });

/** Draws the photo and its first map into a card. */
async function fill(card) {
  watcher.unobserve(card);
  const image = imageData(card.dataset.index);
  const thumb = card.querySelector(".thumb");
  const photo = Object.assign(document.createElement("img"), { src: image.photo, alt: `Photo ${image.name}` });
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  thumb.style.setProperty("--ratio", image.size[1] / image.size[0]);
  thumb.replaceChildren(photo, canvas);
  const map = chosenMap(image.maps, { method: settings.methods[0], target: image.predictions[0].target, layer: settings.layer });
  (await heatmapOf(image, map)).draw(canvas, 0, Math.min(1, 320 / Math.max(...image.photoSize)));
  canvas.style.opacity = map.look === "overlay" ? look.overlay : look.pixels;
}

const watcher = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) if (isIntersecting) fill(target);
}, { rootMargin: "200px" });
for (const card of cards) watcher.observe(card);
addEventListener("beforeprint", () => overview.hidden || cards.filter((card) => !card.querySelector("img")).forEach(fill));

/** A card's score or share; NaN where there is none. */
function measured(card, name) {
  return card.dataset[name] === "" ? NaN : Number(card.dataset[name]);
}

function compared(a, b, key) {
  if (key === "name" || key === "class") return collator.compare(a.dataset[key], b.dataset[key]);
  return measured(a, key) - measured(b, key) || 0;
}

/** Shows the cards that fit, in the order chosen. */
function arrange() {
  const words = query.text.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const bounds = [query.least, query.most].map((field) => (field.value === "" ? null : Number(field.value)));
  let count = 0;
  for (const card of cards) {
    const text = card.dataset.text.toLocaleLowerCase();
    const value = measured(card, query.measure.value);
    // Written so that a card without a value fits no range.
    const fits = words.every((word) => text.includes(word)) &&
      (bounds[0] === null || value >= bounds[0]) && (bounds[1] === null || value <= bounds[1]);
    card.hidden = !fits;
    count += fits;
  }
  const turned = query.order.getAttribute("aria-pressed") === "true" ? -1 : 1;
  cards.sort((a, b) => turned * compared(a, b, query.sort.value) || a.dataset.index - b.dataset.index);
  list.append(...cards);
  query.count.textContent = count === cards.length ? `${count} images` : `${count} of ${cards.length} images`;
  document.getElementById("none").hidden = count > 0;
}

/** The images that the filter leaves, in the order shown. */
function shownIndices() {
  return cards.filter((card) => !card.hidden).map((card) => Number(card.dataset.index));
}

function toggled(button) {
  button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
  return button.getAttribute("aria-pressed") === "true";
}

for (const field of ["text", "measure", "least", "most", "sort"]) query[field].addEventListener("input", arrange);
query.order.onclick = () => {
  query.order.firstElementChild.textContent = toggled(query.order) ? "\u2193" : "\u2191";
  arrange();
};
query.rows.onclick = () => list.classList.toggle("rows", toggled(query.rows));
document.getElementById("filter").onsubmit = (event) => event.preventDefault();
for (const name of ["score", "share"]) {
  if (cards.some((card) => card.dataset[name] !== "")) continue;
  for (const select of [query.measure, query.sort]) select.querySelector(`[value=${name}]`).remove();
}
arrange();
