// The parts of Vega and Vega-Lite that the page calls; the interpreter runs expressions without `eval`.
export { compile } from "vega-lite";
export { expressionInterpreter } from "vega-interpreter";
export { parse, View, Warn } from "vega";
