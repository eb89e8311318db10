// limen.js in Node, against a limen that really listens, behind a network that loses answers.
// Tabs are Limens that share a store; the device's clock and limen's are moved together.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { inspect } from "node:util";

import { Limen, LimenError } from "../../src/limen/static/limen.js";

const url = process.env.LIMEN_TEST_URL;
const ME = `${url}/api/v1/auth/me`;
const PASSWORD = "correct horse battery staple";
const TABS = 4;
const ROUNDS = Number(process.env.LIMEN_TEST_ROUNDS ?? 20);

// Pauses are short here, and time is set.
const [later, now] = [setTimeout, Date.now];
globalThis.setTimeout = (work, milliseconds) => later(work, milliseconds / 50);
let moved = 0;
Date.now = () => now() + 1000 * moved;

const weather = (kind) => fetch(`${url}/-/weather/${kind}`, { method: "POST" });

async function pass(seconds) {
  moved += seconds;
  await fetch(`${url}/-/tick/${seconds}`, { method: "POST" });
}

/** What all tabs share. */
class Shared {
  text = null;

  view() {
    return {
      update: async (change) => {
        await new Promise(setImmediate);
        this.text = change(this.text);
      },
    };
  }

  get state() {
    return JSON.parse(this.text);
  }
}

/** The store as a tab has it that falls asleep at one of its steps, before it or after it. */
class Sleeper {
  #store;
  #steps = 0;
  #stop = 0;
  #awake;
  wake = () => {};

  constructor(store) {
    this.#store = store;
  }

  sleepAt(step) {
    [this.#steps, this.#stop] = [0, step];
    this.#awake = new Promise((done) => (this.wake = done));
  }

  async update(change) {
    this.#steps++;
    if (this.#steps === this.#stop + 0.5) await this.#awake;
    const isLast = this.#steps === this.#stop;
    await this.#store.update(change);
    if (isLast) await this.#awake;
  }
}

/** navigator.locks, as far as it is used. */
class Locks {
  #turns = new Map();

  request(name, _options, work) {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(work, work);
    this.#turns.set(name, turn.catch(() => {}));
    return turn;
  }
}

let people = 0;
async function signedIn(t, options = {}) {
  const email = `person${++people}@example.com`;
  const body = JSON.stringify({ email, password: PASSWORD });
  const headers = { "Content-Type": "application/json" };
  await fetch(`${url}/api/v1/auth/register`, { method: "POST", headers, body });
  const store = new Shared();
  const limen = new Limen({ url, storage: store.view(), timeout: 5000, ...options });
  t.after(() => limen.close());
  await limen.signIn(email, PASSWORD);
  return { limen, store, email };
}

function another(t, store) {
  const limen = new Limen({ url, storage: store.view(), timeout: 5000 });
  t.after(() => limen.close());
  return limen;
}

const until = async (holds) => {
  while (!holds()) await new Promise((done) => later(done, 5));
};

test("a request carries the token, and the next one the same", async (t) => {
  const { limen } = await signedIn(t);
  const token = await limen.token();

  assert.equal((await limen.fetch(ME)).status, 200);
  assert.equal(await limen.token(), token);
});

test("a token is renewed a minute before its end, by one refresh", async (t) => {
  const { limen } = await signedIn(t);
  const token = await limen.token();
  await pass(1800 - 65);
  assert.equal(await limen.token(), token);
  await pass(10);

  const tokens = await Promise.all(Array.from({ length: 20 }, () => limen.token()));
  assert.equal(new Set(tokens).size, 1);
  assert.notEqual(tokens[0], token);
});

test("a refused token is renewed once, and the request repeated with its body", async (t) => {
  const { limen, store } = await signedIn(t);
  const refused = `${store.state.session.access.slice(0, -4)}AAAA`;
  store.text = JSON.stringify({ ...store.state, session: { ...store.state.session, access: refused } });
  const answer = await limen.fetch(ME);
  assert.equal(answer.status, 200);
  assert.notEqual(store.state.session.access, refused);

  let sent = [];
  const server = createServer(async (request, response) => {
    sent.push(Buffer.concat(await request.toArray()).toString());
    response.writeHead(sent.length === 1 ? 401 : 201).end();
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await until(() => server.listening);
  const other = `http://127.0.0.1:${server.address().port}`;
  const named = new Limen({ url, origins: [other], storage: store.view() });
  t.after(() => named.close());
  await pass(120); // or the same access token would be made again
  assert.equal((await named.fetch(other, { method: "POST", body: "an order" })).status, 201);
  assert.deepEqual(sent, ["an order", "an order"]);
});

test("the token goes to limen and to named origins, and nowhere else", async (t) => {
  const seen = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization?.slice(0, 7));
    response.end();
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await until(() => server.listening);
  const other = `http://127.0.0.1:${server.address().port}`;
  const { limen, store } = await signedIn(t);
  const named = new Limen({ url, origins: [other], storage: store.view() });
  t.after(() => named.close());

  await limen.fetch(other);
  await named.fetch(other);
  await named.fetch(other, { headers: { Authorization: "Basic mine" } });
  assert.deepEqual(seen, [undefined, "Bearer ", "Basic m"]);
});

test("a refresh token that comes again keeps its key", async (t) => {
  const { limen, store } = await signedIn(t);
  const refused = `${store.state.session.access.slice(0, -4)}AAAA`;
  const refuse = async () => {
    store.text = JSON.stringify({ ...store.state, session: { ...store.state.session, access: refused } });
    assert.equal((await limen.fetch(ME)).status, 200);
    return store.state.session;
  };
  const first = await refuse();
  const again = await refuse(); // so soon that limen hands out the same token again
  assert.equal(again.refresh, first.refresh);
  assert.match(again.key, /^[\w-]{32}$/); // a late double of that request brings the same one

  await pass(1860);
  assert.equal((await limen.fetch(ME)).status, 200);
  assert.notEqual(store.state.session.refresh, again.refresh);
  assert.notEqual(store.state.session.key, again.key);
});

for (const kind of ["dark", "mute"]) {
  test(`nothing is forgotten while the network is ${kind}, and one key is used`, async (t) => {
    const { limen, store } = await signedIn(t);
    await pass(1860);
    await weather(kind);
    t.after(() => weather("calm"));
    await assert.rejects(limen.fetch(ME), { name: "LimenError", code: "unreachable", status: 0 });
    const { key, refresh } = store.state.session;
    assert.match(key, /^[\w-]{32}$/);
    await assert.rejects(another(t, store).fetch(ME), { code: "unreachable" });
    assert.deepEqual([store.state.session.key, store.state.session.refresh], [key, refresh]);
    assert.equal(limen.signedIn, true);

    await weather("calm");
    assert.equal((await limen.fetch(ME)).status, 200);
    assert.notEqual(store.state.session.refresh, refresh);
  });
}

test("ahead of its end a token serves while limen is away", async (t) => {
  const { limen } = await signedIn(t);
  await pass(1770);
  await weather("dark");
  t.after(() => weather("calm"));
  assert.equal((await limen.fetch(ME)).status, 200);
});

test("a clock that is wrong, or is set, does no harm", async (t) => {
  t.after(() => (moved = 0));
  for (const wrong of [-400 * 86400, 400 * 86400]) {
    moved = wrong;
    const { limen } = await signedIn(t);
    for (const change of [-86400, 86400, 3 * 86400, -3 * 86400]) {
      moved += change;
      assert.equal((await limen.fetch(ME)).status, 200);
      await pass(1860);
      assert.equal((await limen.fetch(ME)).status, 200);
    }
  }
});

test("a session that was ended elsewhere signs every tab out, and that is announced", async (t) => {
  const { limen, store } = await signedIn(t);
  const tab = another(t, store);
  const changes = [];
  tab.onchange = ({ signedIn }) => changes.push(signedIn);
  await tab.ready;
  const body = JSON.stringify({ refresh_token: store.state.session.refresh });
  const headers = { "Content-Type": "application/json" };
  await fetch(`${url}/api/v1/auth/logout`, { method: "POST", headers, body });

  assert.equal((await limen.fetch(ME)).status, 401);
  assert.equal(store.text, null);
  await until(() => changes.length === 2);
  assert.deepEqual(changes, [true, false]);
  assert.equal((await tab.fetch(ME)).status, 401);
});

test("signing out is at once, and is made good when limen could not be told", async (t) => {
  const { limen, store } = await signedIn(t);
  const token = await limen.token();
  await weather("dark");
  t.after(() => weather("calm"));
  await assert.rejects(limen.signOut(), { code: "unreachable" });
  assert.equal(limen.signedIn, false);
  assert.equal(await limen.token(), null);

  await weather("calm");
  await another(t, store).ready;
  await until(() => store.text === null);
  const headers = { Authorization: `Bearer ${token}` };
  assert.equal((await fetch(ME, { headers })).status, 401);
});

test("a refused sign-in says why, and no more", async (t) => {
  const { limen, email } = await signedIn(t);
  const error = await limen.signIn(email, "not the password").catch((error) => error);

  assert.ok(error instanceof LimenError);
  assert.deepEqual([error.status, error.code], [401, "invalid_credentials"]);
  assert.doesNotMatch(inspect(error, { showHidden: true, depth: 9 }), /not the password|@example/);
  assert.doesNotMatch(inspect(limen, { showHidden: true, depth: 9 }), /eyJ/);
  assert.equal(limen.signedIn, true);
});

for (const locks of [new Locks(), undefined]) {
  test(`four tabs in a storm stay signed in, ${locks ? "with" : "without"} locks`, async (t) => {
    Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
    const { store } = await signedIn(t);
    const views = Array.from({ length: TABS }, () => new Sleeper(store.view()));
    const tabs = views.map((storage) => new Limen({ url, storage, timeout: 1000 }));
    t.after(() => tabs.forEach((tab) => tab.close()));
    t.after(() => weather("calm"));
    await weather("storm");
    const met = {};
    const me = async (tab) => {
      const said = await tab.fetch(ME).then(({ status }) => status, ({ code }) => code);
      met[said] = (met[said] ?? 0) + 1;
    };
    for (let round = 0; round < ROUNDS; round++) {
      await pass(1860);
      const sleeper = round % TABS;
      views[sleeper].sleepAt([1, 2, 2.5, 3, 3.5][round % 5]);
      const slept = me(tabs[sleeper]);
      await Promise.all(tabs.filter((_, tab) => tab !== sleeper && !locks).map(me));
      await pass(1860); // the sleeper has read a token that is used by now, and wakes with it
      await Promise.all(tabs.filter((_, tab) => tab !== sleeper && !locks).map(me));
      views[sleeper].wake();
      await slept;
      await Promise.all(tabs.map(me));
    }
    await weather("calm");
    for (const tab of tabs) assert.equal((await tab.fetch(ME)).status, 200);
    assert.equal(met[401], undefined);
    console.log(`figures: ${TABS} tabs, ${ROUNDS} rounds, ${locks ? "" : "no "}locks, ${JSON.stringify(met)}`);
  });
}
