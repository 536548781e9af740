// Validates the AsyncAPI document given on standard input; prints what is wrong with it, one fault a line.
const { Parser } = require("@asyncapi/parser");

const ERROR = 0;

async function main() {
  const { document, diagnostics } = await new Parser().parse(require("fs").readFileSync(0, "utf8"));
  const faults = diagnostics.filter((fault) => fault.severity === ERROR);
  for (const fault of faults) console.log(`${fault.path.join("/")}: ${fault.message}`);
  process.exit(document && faults.length === 0 ? 0 : 1);
}

main();
