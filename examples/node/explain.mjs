// Explains a photo: node explain.mjs MODEL IMAGE [CLASS]
// Prints the top classes, writes heatmap.png (the heatmap over the photo) and heatmap.f32 (its values, float32).

import { readFile, writeFile } from "node:fs/promises";
import * as ort from "onnxruntime-node";
import sharp from "sharp";
import { ExplainedModel, overlay } from "../web/explained_model/index.js";

async function main([modelFile, imageFile, wanted]) {
  if (!imageFile) throw new Error("usage: node explain.mjs MODEL IMAGE [CLASS]");
  const model = await ExplainedModel.open(ort, await readFile(modelFile));
  const image = await readImage(imageFile);
  const input = model.prepare(image);

  const classes = await model.classify(input);
  for (const { index, label, probability } of classes.slice(0, 5)) {
    console.log(`${(100 * probability).toFixed(1).padStart(5)} %  ${label} (${index})`);
  }
  const target = wanted ? classes.find(({ index, label }) => [String(index), label].includes(wanted)) : classes[0];
  if (!target) throw new Error(`the model has no class ${wanted}; give an index below ${classes.length}, or a label`);

  const [explanation] = await model.explain(input, [target.index]);
  const heatmap = model.toSource(explanation.heatmap, image);
  const { height, width } = image;
  await sharp(overlay(image, heatmap), { raw: { height, width, channels: 3 } }).toFile("heatmap.png");
  await writeFile("heatmap.f32", heatmap.data);
  console.log(`explained ${target.label}: heatmap.png, heatmap.f32 (${height} x ${width})`);
}

/** RGB bytes, as the Python engine reads them: upright, transparency laid over white, colour profiles not applied. */
async function readImage(file) {
  const pixels = sharp(file, { ignoreIcc: true }).autoOrient().flatten({ background: "white" }).toColourspace("srgb");
  const { data, info } = await pixels.raw().toBuffer({ resolveWithObject: true }).catch((error) => {
    throw new Error(`${file}: cannot be read as an image (${error.message}); convert it to PNG`);
  });
  return { data, height: info.height, width: info.width };
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
