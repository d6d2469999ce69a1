/** Opens the app once it has taken the place of this page. */

const PAUSE = 300; // milliseconds

async function isReady() {
  try {
    return (await fetch("healthz", { cache: "no-store" })).ok;
  } catch {
    return false; // no server listens during the handover
  }
}

while (!(await isReady())) await new Promise((done) => setTimeout(done, PAUSE));
location.reload();
