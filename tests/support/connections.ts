/** What a composition root must connect: one check per connection. */

/** By the name of the connection, in the order of the checks. */
export type Connections<World> = Readonly<
  Record<string, (world: World) => boolean | Promise<boolean>>
>;

/** @returns the names of those that are missing or wrong */
export async function brokenConnections<World>(
  connections: Connections<World>,
  world: World,
): Promise<string[]> {
  const broken: string[] = [];
  for (const [name, holds] of Object.entries(connections)) {
    if (!(await holds(world))) broken.push(name);
  }
  return broken;
}

export const pause = (ms: number): Promise<void> => new Promise((go) => setTimeout(go, ms));

/** Waits until it holds, for a second at most; longer on a crowded machine. */
export async function within(holds: () => boolean | Promise<boolean>): Promise<boolean> {
  for (let tries = 0; tries < 50 && !(await holds()); tries++) await pause(20);
  return holds();
}
