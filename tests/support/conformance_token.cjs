// Preloaded into the conformance suite, which has no option for it: the token, with every request that it makes.
const { subscribe } = require("node:diagnostics_channel");
const token = `Bearer ${process.env.TOKEN}`;
subscribe("undici:request:create", ({ request }) => request.addHeader("authorization", token)); // fetch
subscribe("http.client.request.created", ({ request }) => request.setHeader("authorization", token)); // node:http
