// Writes the licence of every package that has code in the bundle.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const [meta, target] = process.argv.slice(2);
const [output] = Object.values(JSON.parse(readFileSync(meta)).outputs);
const inside = Object.entries(output.inputs).filter(([, part]) => part.bytesInOutput > 0);
const folders = inside.map(([file]) => file.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//)?.[1]).filter(Boolean);
const texts = [...new Set(folders)].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  if (!file) throw new Error(`${folder}: no licence text; add it by hand`);
  return `${name} ${version} (${license})\n\n${readFileSync(`${folder}/${file}`, "utf8").trim()}\n`;
});
writeFileSync(target, texts.join(`\n${"-".repeat(80)}\n\n`));
