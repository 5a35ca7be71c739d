// Shows /openapi.json with Swagger UI, so that each call can be tried on this very server. A server with tokens asks
// for one first: the login is the same as that of the page at "/".

const DOCUMENT = "/openapi.json";
const login = document.getElementById("login");

async function show() {
  const reply = await fetch(DOCUMENT);
  login.hidden = reply.ok;
  if (!reply.ok) {
    await tell(reply);
    return;
  }
  SwaggerUIBundle({
    dom_id: "#calls",
    spec: await reply.json(),
    validatorUrl: null, // by default it asks a server of somebody else
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    tryItOutEnabled: true,
  });
}

/** Say why there is no document, in the server's words. */
async function tell(reply) {
  const problem = await reply.json();
  document.getElementById("why").textContent = problem.detail;
}

login.addEventListener("submit", async (event) => {
  event.preventDefault();
  const reply = await fetch("/api/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: document.getElementById("token").value }),
  });
  await (reply.ok ? show() : tell(reply));
});

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

show();
