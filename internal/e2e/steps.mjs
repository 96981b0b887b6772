// The steps of a script: each prints one line of JSON, which the Go test turns
// into a sub-test. Later steps need what earlier ones did, so the first failure
// ends the script.

export const parameters = JSON.parse(process.argv[2]);

// step runs one behaviour that must hold and returns what it returns.
export async function step(name, behaviour) {
  const start = performance.now();
  const report = (error) => console.log(JSON.stringify({ name, millis: Math.round(performance.now() - start), error }));
  try {
    const result = await behaviour();
    report("");
    return result;
  } catch (error) {
    report(error.stack ?? String(error));
    throw error;
  }
}

// run runs a whole script. The steps have reported their own failures; what
// fails between them is printed to standard error.
export async function run(script, cleanUp = async () => {}, onFailure = async () => {}) {
  try {
    await script();
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
    await onFailure();
  } finally {
    await cleanUp();
  }
}
