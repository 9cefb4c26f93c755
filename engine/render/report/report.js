// The page: which image its address names, keyboard, colours.

const pager = document.getElementById("pager");
const help = document.getElementById("help");
const theme = document.getElementById("theme");
const title = document.title;
let scrolled = 0;

/** The address of an image and, if given, of one of its maps. */
function address(index, { method, layer, target } = {}) {
  const entries = { image: index, method, layer, class: target };
  return `#${new URLSearchParams(Object.entries(entries).filter(([, value]) => value !== undefined && value !== null))}`;
}

/** Shows what the address names: an image, else all images; a report of one image shows that one. */
function route() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const index = wanted.has("image") ? Number(wanted.get("image")) : cards.length === 1 ? 0 : null;
  const isImage = document.getElementById(`image-${index}`) !== null;
  const wasImage = !viewer.hidden;
  if (isImage && !wasImage && !overview.hidden) scrolled = scrollY;
  [viewer.hidden, overview.hidden] = [!isImage, isImage || cards.length === 0];
  pager.hidden = !isImage || cards.length === 1;
  if (!isImage) {
    document.title = title;
    if (wasImage) {
      scrollTo(0, scrolled);
      cards.find((card) => card.dataset.index === String(current.index))?.querySelector("a").focus({ preventScroll: true });
    }
    return;
  }
  const [method, layer, target] = ["method", "layer", "class"].map((key) => wanted.get(key) ?? undefined);
  showImage(index, { method: method ?? current?.map.method, layer, target });
  document.title = `${current.image.name}, ${title}`;
  fillPager(index);
  if (!wasImage && cards.length > 1) {
    scrollTo(0, 0);
    document.getElementById("name").focus({ preventScroll: true });
  }
}

function fillPager(index) {
  const shown = shownIndices();
  const at = shown.indexOf(index);
  document.getElementById("position").textContent = at < 0 ? "" : `${at + 1} of ${shown.length}`;
  for (const [id, neighbour] of [["previous", shown[at - 1]], ["next", at < 0 ? undefined : shown[at + 1]]]) {
    const link = document.getElementById(id);
    if (neighbour === undefined) link.removeAttribute("href");
    else link.href = address(neighbour);
  }
}

function isDark() {
  const chosen = document.documentElement.style.colorScheme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function switchTheme() {
  document.documentElement.style.colorScheme = isDark() ? "light" : "dark";
  theme.setAttribute("aria-pressed", String(isDark()));
}

const keys = {
  "?": () => help.showModal(),
  t: switchTheme,
  "/": () => overview.hidden || query.text.focus(),
};
const keysOfImage = {
  Escape: () => pager.hidden || (location.hash = ""),
  j: () => document.getElementById("next").click(),
  k: () => document.getElementById("previous").click(),
  m: () => choose({ method: following([...control.methods.querySelectorAll("input")].map((one) => one.value), current.map.method) }),
  l: () => control.layers.hidden || choose({ layer: following([...control.layer.options].map((one) => one.value), current.map.layer) }),
  h: () => {
    look.hidden = !look.hidden;
    for (const figure of Object.values(figures)) figure.restyle();
  },
};

addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("select, input:not([type=radio], [type=range])");
  if (event.ctrlKey || event.metaKey || event.altKey || help.open || isTyping) return;
  const action = keys[event.key] ?? (viewer.hidden ? undefined : keysOfImage[event.key]);
  if (action) {
    event.preventDefault();
    action();
  } else if (!viewer.hidden && /^[1-9]$/.test(event.key)) {
    control.predictions.querySelectorAll("button")[event.key - 1]?.click();
  }
});
document.getElementById("ask").onclick = () => help.showModal();
theme.onclick = switchTheme;
theme.setAttribute("aria-pressed", String(isDark()));
addEventListener("hashchange", route);
route();
