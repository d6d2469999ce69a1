// Paths are relative to the project's root, in which ESLint runs.
import js from "@eslint/js";

const PAGE = ["inception/web/stage/static/js/**/*.js"];
const USES_FETCH = ["inception/web/stage/static/js/{source,words}.js"];

export default [
  js.configs.recommended,
  {
    rules: {
      eqeqeq: "error",
      "no-implicit-globals": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
    },
  },
  {
    files: PAGE,
    rules: {
      "no-undef": "off", // TypeScript checks this, and knows the browser's globals
      "no-restricted-syntax": [
        "error",
        {
          selector: "MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML)$/]",
          message: "Build elements with h() and svg() of dom.js.",
        },
        {
          selector: ":matches(ImportDeclaration, ExportNamedDeclaration, ExportAllDeclaration)[source.value=/^(?!\\.{1,2}\\u002f.*\\.js$)/]",
          message: "A browser needs a relative path that ends in .js.",
        },
      ],
    },
  },
  {
    files: PAGE,
    ignores: USES_FETCH,
    rules: { "no-restricted-globals": ["error", { name: "fetch", message: "Ask the server through source.js." }] },
  },
  {
    files: ["tests/javascript/**/*.js"],
    languageOptions: { globals: { URL: "readonly", URLSearchParams: "readonly", btoa: "readonly" } },
  },
];
