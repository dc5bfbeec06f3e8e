// Prints a JSON list with what is wrong with each of the manifests (a JSON list on standard input): null where nothing
// is, by the models that the Prometheus operator's definitions were made into. node crd_models.mjs "$(.ci/crd-models)"
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = `${process.argv[2]}/node_modules/@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1`;

async function mistake(manifest) {
  const module = await import(pathToFileURL(`${folder}/${manifest.kind}.js`));
  try {
    new module[manifest.kind](manifest).validate();
    return null;
  } catch (error) {
    return String(error.message ?? error);
  }
}

const manifests = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(await Promise.all(manifests.map(mistake))));
