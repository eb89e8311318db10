import { Limen } from "/limen.js";

const limen = new Limen({ storage: "local" });
const find = (id) => document.getElementById(id);

// Here, in another tab, or because the session was ended: the page shows what is.
limen.onchange = () => {
  find("sign-in").hidden = limen.signedIn;
  find("orders").hidden = !limen.signedIn;
};

find("sign-in").onsubmit = (event) => {
  event.preventDefault();
  const { email, password } = Object.fromEntries(new FormData(event.target));
  say(async () => {
    if (event.submitter?.value === "register") await register(email, password);
    await limen.signIn(email, password);
    return "Welcome.";
  });
};

find("fetch").onclick = () => say(async () => (await limen.fetch("/orders")).text());

find("sign-out").onclick = () =>
  say(async () => {
    await limen.signOut();
    return "Goodbye.";
  });

async function register(email, password) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ email, password });
  const answer = await fetch("/api/v1/auth/register", { method: "POST", headers, body });
  if (!answer.ok) throw new Error((await answer.json()).detail);
}

/** Show what comes of it; a LimenError is written for people too. */
async function say(something) {
  find("said").value = await something().catch((error) => error.message);
}
