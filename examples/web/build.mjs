// Puts the page, ONNX Runtime and an explained model into one folder for any static server:
// node build.mjs [MODEL] [FOLDER]. Without MODEL, the embedded one is explained by `onnxplain rewrite`.

import { execFileSync } from "node:child_process";
import { cp, mkdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [model, folder = join(here, "dist")] = process.argv.slice(2);
const PAGE = ["index.html", "style.css", "page.js", "photo.js", "runtime.js", "view.js", "explained_model"];
const RUNTIME = [
  "ort.wasm.min.mjs",
  "ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.wasm",
  // what WebGPU needs beside
  "ort.webgpu.min.mjs",
  "ort-wasm-simd-threaded.asyncify.mjs",
  "ort-wasm-simd-threaded.asyncify.wasm",
];

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
for (const name of PAGE) await cp(join(here, name), join(folder, name), { recursive: true });
const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"));
for (const name of RUNTIME) await cp(join(runtime, name), join(folder, "ort", name));
await cp(join(here, "../../exported_models/efficientnet_lite0/chelsea.png"), join(folder, "photo.png"));
if (model) {
  await cp(model, join(folder, "model.onnx"));
} else {
  execFileSync("onnxplain", ["rewrite", "--output", join(folder, "model.onnx")], { stdio: "inherit" });
}
console.log(`serve it with: python3 -m http.server --directory ${folder}`);
