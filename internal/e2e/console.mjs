export async function consoleSteps() {}
