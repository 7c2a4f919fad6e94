import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** The maximum size in bytes of all compressed scripts and styles together. */
const BUDGET = 40 * 1024;

/** Compresses the built files, as the server embeds them, and checks their size. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    closeBundle() {
      const folder = join(import.meta.dirname, "dist");
      let total = 0;
      for (const name of readdirSync(folder)) {
        const path = join(folder, name);
        const data = gzipSync(readFileSync(path), { level: 9 });
        writeFileSync(`${path}.gz`, data);
        rmSync(path);
        if (/\.(js|css)$/.test(name)) total += data.length;
      }
      const kilobytes = (total / 1024).toFixed(1);
      console.log(`scripts and styles: ${kilobytes} kB gzip, of ${BUDGET / 1024} kB`);
      if (total > BUDGET) {
        // A page that is too large is not to be embedded by accident.
        renameSync(folder, `${folder}-too-large`);
        throw new Error(`the page is ${total - BUDGET} bytes larger than its budget`);
      }
    },
  };
}

export default defineConfig({
  // Counted from the file that names another: a proxy may serve all of this below a path.
  base: "./",
  plugins: [compressed()],
  css: { preprocessorOptions: { scss: { quietDeps: true } } },
  build: {
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    reportCompressedSize: false,
    rolldownOptions: {
      input: { page: "src/main.tsx" },
      // The server names each version by its content, in an ETag.
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: "[name].js",
        assetFileNames: (asset) =>
          asset.names[0]?.endsWith(".css") ? "page.css" : "[name][extname]",
      },
    },
  },
});
