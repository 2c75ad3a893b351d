import type { LightNode } from './light-node.ts';
export async function pay(_n: LightNode, _id: string): Promise<unknown> {
  return {};
}
export async function outputsPage(_n: LightNode, _e: number, _a: number): Promise<Uint8Array> {
  return new Uint8Array();
}
