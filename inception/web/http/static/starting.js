/** Reloads once the app is served in place of this page. */

const POLL_INTERVAL_MS = 300;

async function isReady() {
  try {
    return (await fetch("healthz", { cache: "no-store" })).ok;
  } catch {
    return false; // no server listens during the handover
  }
}

while (!(await isReady())) await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
location.reload();
