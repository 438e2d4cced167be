// Runs the unit tests of the library on MicroPython in WebAssembly. The exit code is that of run_tests.py.
// Usage: node run.mjs MICROPYTHON.mjs HOST_FOLDER=VM_FOLDER ...
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

// Only tests of the library can run here. This system has no sockets, and its error numbers differ from a board's.
function reasonToLeaveOut(name, source) {
  if (!name.startsWith("test_")) return null;
  if (/\bFileStore\b/.test(source)) return "its error numbers are not a board's";
  return /^\s*(from|import) (firmware|umqtt)\b/m.test(source) ? "not of the library" : null;
}

for (const pair of folders) {
  const [host, folder] = pair.split("=");
  micropython.FS.mkdirTree(folder);
  for (const name of fs.readdirSync(host).filter((name) => name.endsWith(".py"))) {
    const source = fs.readFileSync(path.join(host, name));
    const reason = reasonToLeaveOut(name, source.toString());
    if (reason === null) {
      micropython.FS.writeFile(`${folder}/${name}`, source);
    } else {
      console.log(`not run here: ${name} (${reason})`);
    }
  }
}

micropython.runPython(`
import sys
sys.path[:] = ["/shims", "/lib", "/", ".frozen"]
sys.argv[:] = ["run_tests.py", "/unit"]
failed = 1
try:
    exec(open("/helpers/portable/run_tests.py").read(), {"__name__": "__main__"})
except SystemExit as end:
    failed = end.args[0]
`);
process.exit(micropython.globals.get("failed"));
