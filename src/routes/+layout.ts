/** One shell for every place; what a person sees is made on their device only. */
export const ssr = false;
export const prerender = false;
