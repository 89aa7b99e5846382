// The smallest app router: one page, one API route, one route that streams. The build goes outside the repository's folder.
export default { poweredByHeader: false };
