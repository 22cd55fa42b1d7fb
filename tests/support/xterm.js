// Feeds bytes (standard input) to xterm.js and says what they have done to it, as JSON.
const { Terminal } = require("@xterm/headless");
const terminal = new Terminal({ cols: 80, rows: 24, allowProposedApi: true });
const heard = { osc: [], answers: [], titles: [] };
for (const code of [0, 1, 2, 4, 8, 9, 10, 11, 12, 52, 104, 110, 111, 112, 1337]) {
  terminal.parser.registerOscHandler(code, () => { heard.osc.push(code); return false; });
}
terminal.onData((data) => heard.answers.push(data));
terminal.onTitleChange((title) => heard.titles.push(title));
const write = (data) => new Promise((done) => terminal.write(data, done));
const line = () => {
  const buffer = terminal.buffer.active;
  return buffer.getLine(buffer.baseY + buffer.cursorY).translateToString(true);
};
(async () => {
  await write(require("fs").readFileSync(0));
  const modes = { ...terminal.modes };
  // What a shell would do next: a line of text at the margin, in the terminal's own colours, with a tab.
  await write("\r\n\u001b[Kplain\tx");
  const buffer = terminal.buffer.active;
  const cell = buffer.getLine(buffer.baseY + buffer.cursorY).getCell(0);
  const state = {
    modes, buffer: buffer.type, text: line(), column: buffer.cursorX, colour: cell.getFgColorMode(), bold: cell.isBold(),
  };
  console.log(JSON.stringify({ ...heard, state }));
})();
