#!/usr/bin/env node
// Runs the program, which npm has installed as an optional dependency for this platform.
"use strict";
const { spawn } = require("child_process");

const fail = (message) => {
  console.error(`portcheck: ${message}`);
  process.exit(4);
};

const name = `portcheck-${process.platform}-${process.arch}`;
let file;
try {
  file = require.resolve(`${name}/bin/portcheck${process.platform === "win32" ? ".exe" : ""}`);
} catch {
  fail(`the package ${name} is missing: install it, or build portcheck with cargo`);
}
const program = spawn(file, process.argv.slice(2), { stdio: "inherit" });
program.on("error", (error) => fail(`cannot run ${file}: ${error.message}`));
// The terminal sends Ctrl-C to both.
process.on("SIGINT", () => {});
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => program.kill(signal));
program.on("exit", (status, signal) => {
  if (signal === null) process.exit(status);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
