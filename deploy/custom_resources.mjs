// Checks custom resources (a JSON array of documents) against the schemas in npm's @kubernetes-models packages.
// node custom_resources.mjs DIRECTORY_WITH_NODE_MODULES DOCUMENTS.json
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  "monitoring.coreos.com/v1": "prometheus-operator",
  "keda.sh/v1alpha1": "keda",
  "cert-manager.io/v1": "cert-manager",
  "gateway.networking.k8s.io/v1": "gateway-api",
};
// Too new for the package: `make kube-check` applies it to a real API server.
const NOT_IN_PACKAGE = new Set(["gateway.networking.k8s.io/v1 TCPRoute"]);
const [directory, file] = process.argv.slice(2);
let checked = 0;
let wrong = 0;
for (const document of JSON.parse(fs.readFileSync(file, "utf8"))) {
  const { apiVersion, kind, metadata } = document;
  if (!PACKAGES[apiVersion]) {
    console.log(`${kind} ${metadata.name}: no schema is known for ${apiVersion}`);
    wrong += 1;
    continue;
  }
  if (NOT_IN_PACKAGE.has(`${apiVersion} ${kind}`)) {
    continue;
  }
  // By path: the packages export their models in different ways.
  const module = path.join(directory, "node_modules/@kubernetes-models", PACKAGES[apiVersion], apiVersion, `${kind}.js`);
  const loaded = await import(pathToFileURL(path.resolve(module)));
  const Model = loaded[kind] ?? loaded.default[kind];
  checked += 1;
  try {
    new Model(document).validate();
  } catch (error) {
    wrong += 1;
    console.log(`${kind} ${metadata.name}: ${error.message}`);
  }
}
console.log(`${checked} checked, ${wrong} wrong`);
process.exit(wrong > 0 || checked === 0 ? 1 : 0);
