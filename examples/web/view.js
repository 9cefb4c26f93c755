// What the page draws and writes of classes, maps and models.

import { INFERNO, NEGATIVE, POSITIVE, isSigned } from "./explained_model/index.js";

const $ = (id) => document.getElementById(id);

/** A share as text. */
export const percent = (share) => (share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`);

/** An element with attributes and children; texts stay texts, whatever a model's labels hold. */
function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

/** List classes as radio buttons with bars, one chosen; all of them are offered by name below. */
export function listClasses(listed, all, chosen) {
  const rows = listed.map((one) => {
    const bar = element("span", { className: "bar", ariaHidden: "true" }, element("span"));
    bar.firstChild.style.width = `${100 * one.probability}%`;
    return element(
      "label",
      { className: "class" },
      element("input", { type: "radio", name: "class", value: one.index, checked: one === chosen }),
      element("span", { className: "name", title: one.label }, one.label),
      element("span", { className: "share" }, percent(one.probability)),
      bar,
    );
  });
  $("rows").replaceChildren(...rows);
  const names = [...all].sort((a, b) => a.index - b.index);
  $("labels").replaceChildren(...names.map(({ label }) => element("option", { value: label })));
  $("other-class").value = "";
  $("other").hidden = all.length <= listed.length;
}

/** Show which model it is, and the layers that it explains. */
export function describeModel(model, name) {
  $("model-name").textContent = name;
  $("layer").replaceChildren(...model.layers.map((layer) => element("option", { value: layer }, layer)));
  $("layer").selectedIndex = model.layers.length - 1;
  $("layer-field").hidden = model.layers.length < 2;
  const assumed = "The file does not record how its input is made: ImageNet’s usual way is assumed, which may be wrong.";
  const about = `${model.record.method} at ${model.layers.join(", ") || "all layers"}.`;
  $("about").textContent = model.preprocessingIsAssumed ? `${about} ${assumed}` : about;
}

/** Draw the scale of colours, from none to strongest or from against to for the class. */
export function drawLegend(signed) {
  const [against, without, towards] = [NEGATIVE, [255, 255, 255], POSITIVE];
  const steps = Array.from({ length: 16 }, (_, i) => INFERNO.subarray(51 * i, 51 * i + 3));
  const colours = (signed ? [against, without, towards] : steps).map((colour) => `rgb(${colour})`);
  $("scale").style.background = `linear-gradient(to right, ${colours.join()})`;
  [$("low").textContent, $("high").textContent] = signed ? ["−1, speaks against", "1, speaks for it"] : ["0", "1, strongest"];
  $("legend").hidden = false;
}

/** Where a map is strongest, in words. */
export function whereabouts(map) {
  let peak = 0;
  map.data.forEach((value, i) => {
    if (Math.abs(value) > Math.abs(map.data[peak])) peak = i;
  });
  if (map.data[peak] === 0) return "zero everywhere";
  const third = (at, side, names) => names[Math.min(Math.floor((3 * at) / side), 2)];
  const row = third(Math.floor(peak / map.width), map.height, ["top ", "", "bottom "]);
  const column = third(peak % map.width, map.width, ["left", "centre", "right"]);
  return `strongest ${isSigned(map) && map.data[peak] < 0 ? "against it " : ""}at the ${row}${column}`;
}
