// Runs the unit tests on MicroPython in WebAssembly. Exits as they do.
// node run.mjs MICROPYTHON.mjs HOST_FOLDER=VM_FOLDER ...
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [module, ...folders] = process.argv.slice(2);
const { loadMicroPython } = await import(pathToFileURL(module));
const micropython = await loadMicroPython({
  heapsize: 320 * 1024,
  stdout: (line) => console.log(line),
  stderr: (line) => console.error(line),
});

for (const pair of folders) {
  const [host, folder] = pair.split("=");
  micropython.FS.mkdirTree(folder);
  for (const name of fs.readdirSync(host)) {
    if (name === "test_store.py") {
      console.log("not run here: test_store.py (the numbers of this system's errors are not a board's)");
    } else if (name.endsWith(".py")) {
      micropython.FS.writeFile(`${folder}/${name}`, fs.readFileSync(path.join(host, name)));
    }
  }
}

micropython.runPython(`
import sys
sys.path[:] = ["/shims", "/lib", "/", ".frozen"]
sys.argv[:] = ["run_on_vm.py", "/unit"]
failed = 1
try:
    exec(open("/unit/run_on_vm.py").read(), {"__name__": "__main__"})
except SystemExit as end:
    failed = end.args[0]
`);
process.exit(micropython.globals.get("failed"));
