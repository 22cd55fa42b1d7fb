// One `execute` through npm's client for tasks, against the server on stdio that is named; prints how it went as JSON.
//
// node ext_tasks.mjs FOLDER '{"server": [...], "command": "...", "kill": true, "cancel": true, "answer": "yes"}'

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, text] = process.argv.slice(2);
const wanted = JSON.parse(text);
const PACKAGE = "node_modules/@modelcontextprotocol/ext-tasks/dist/client/index.js";
const { withTasks } = await import(pathToFileURL(`${folder}/${PACKAGE}`));

const TASKS = "io.modelcontextprotocol/tasks";
const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "ext-tasks", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": { extensions: { [TASKS]: {} }, elicitation: { form: {} } },
};

/** A server's process, and the requests that it has not answered. */
class Server {
  constructor() {
    this.pending = new Map();
    this.process = spawn(wanted.server[0], wanted.server.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
    this.ended = new Promise((resolve) => this.process.once("exit", resolve));
    createInterface({ input: this.process.stdout }).on("line", (line) => {
      const message = JSON.parse(line);
      this.pending.get(message.id)?.(message);
      this.pending.delete(message.id);
    });
  }

  ask(request) {
    const id = Server.count++;
    const params = { ...request.params, _meta: { ...request.params?._meta, ...META } };
    const answered = new Promise((resolve) => this.pending.set(id, resolve));
    this.process.stdin.write(`${JSON.stringify({ ...request, jsonrpc: "2.0", id, params })}\n`);
    return answered;
  }

  static count = 1;
}

let server = new Server();
const { result } = await server.ask({ method: "server/discover" });
const asked = [];
const port = {
  endpointId: "tests",
  taskCapabilities: { generation: "v2", capabilities: result.capabilities.extensions[TASKS] },
  invalidated: false,
  onServerRequest: () => () => {},
  onNotification: () => () => {},
  onInvalidated: () => () => {},
  dispatch: async (request) => {
    const answer = await server.ask(request);
    return answer.error ? { kind: "error", error: answer.error } : { kind: "result", result: answer.result };
  },
};
const options = {
  onInputRequest: async (request) => {
    asked.push(request.params.message);
    return { action: "accept", content: { answer: wanted.answer } };
  },
};

const started = { command: wanted.command, wait: 50 };
let execution = await withTasks(port, options).callTool("execute", started);
const { kind } = execution;
if (wanted.kill) {
  const reference = execution.serializeReference();
  server.process.kill("SIGKILL");
  await server.ended;
  server = new Server();
  execution = await withTasks(port, options).resumeTask(reference);
}
if (wanted.cancel) await execution.cancel();
const { outcome, lastTask } = await execution.settle();
server.process.stdin.end();
await server.ended;
console.log(JSON.stringify({ kind, asked, outcome, lastTask }));
