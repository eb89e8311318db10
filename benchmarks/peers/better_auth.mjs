// Better Auth as its documentation has it: node's own server, e-mail and password, better-sqlite3.
//
// It is in production, where it would limit requests: that is switched off. So is its log; its
// telemetry is off unless somebody asks for it. Everything else is as it comes: a sign-in makes a
// session in the database and a cookie that names it, each guarded request looks the session up
// (its cookie cache is off unless asked for), and origins are checked.
//
// The cookie is signed in the threads that hash, behind the passwords that wait already: under load
// a sign-in queues twice, which costs latency, and little of the rate.

import { createServer } from "node:http";

import { hash, verify } from "@node-rs/argon2";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { fromNodeHeaders, toNodeHandler } from "better-auth/node";
import Database from "better-sqlite3";

const PASSWORD = "correct horse battery staple";
const PEOPLE = 1000;

const EQUAL = { memoryCost: 19456, timeCost: 2, parallelism: 1 }; // of Argon2id
const equalHash = {
  hash: (password) => hash(password, EQUAL),
  verify: ({ hash: stored, password }) => verify(stored, password),
};

const database = new Database(process.env.PEER_DATABASE);
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");

const auth = betterAuth({
  baseURL: "http://localhost:8000", // what an Origin is held against; the port is another
  secret: "5b0a7a5dbf3f4c3a9d1e7c2f8a6b4d90".repeat(2),
  database,
  emailAndPassword: {
    enabled: true,
    ...(process.env.PEER_HASH === "equal" && { password: equalHash }),
  },
  rateLimit: { enabled: false },
  logger: { disabled: true },
});

/** Make the tables and the people, all with one stored hash, in one transaction. */
async function prepare() {
  await (await getMigrations(auth.options)).runMigrations();
  const { internalAdapter, password } = await auth.$context;
  const stored = await password.hash(PASSWORD);
  database.exec("BEGIN");
  for (let n = 0; n < PEOPLE; n++) {
    const person = { name: `Person ${n}`, email: `person${n}@example.com`, emailVerified: true };
    const { id } = await internalAdapter.createUser(person);
    const account = { userId: id, accountId: id, providerId: "credential", password: stored };
    await internalAdapter.linkAccount(account);
  }
  database.exec("COMMIT");
}

async function orders(request, response) {
  const session = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) });
  response.statusCode = session ? 200 : 401;
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(session ? { "orders of": session.user.id } : { detail: "Sign in" }));
}

await prepare();
const authentication = toNodeHandler(auth);
createServer((request, response) =>
  request.url === "/orders" ? orders(request, response) : authentication(request, response),
).listen(Number(process.env.PEER_PORT), "127.0.0.1");
