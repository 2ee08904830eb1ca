/**
 * MySQL 9.7, the long-term series whose group replication Heddle is built and measured on. Debian's packages are the only
 * ones that install without root from a source the host already trusts.
 */
import { access } from "node:fs/promises";
import { dirname, join } from "node:path";
import { installDebian } from "./debian.ts";
import { searchTool, type Recipe } from "./search.ts";
import type { Tool, ToolOptions } from "./tool.ts";

/** A `mysqld` of version 9.7. */
export interface MysqlTool extends Tool {
  /** Root of a private installation; its files are not where the program looks by itself. Absent for others. */
  readonly root?: string;
}

const recipe: Recipe = {
  name: "mysql",
  needed: "MySQL 9.7 (mysqld)",
  pin: "9.7",
  programs: ["mysqld"],
  isFit: ([major, minor]) => major === 9 && minor === 7,
  keys: ["local.tools.mysqld"],
  ways: [
    {
      name: "Debian packages of sid",
      install: (context) =>
        installDebian(
          {
            suite: "sid",
            seed: "mysql-server-core",
            program: "usr/sbin/mysqld",
            unneeded:
              /^(perl|libperl|libdb5|libgdbm|libcrypt1|libc-gconv|gcc-.*-base|openssl-provider-legacy)/,
          },
          context,
        ),
    },
  ],
};

/** Finds or installs MySQL 9.7. Rejects with `MissingToolsError`. */
export async function ensureMysql(options: ToolOptions = {}): Promise<MysqlTool> {
  const tool = await searchTool(recipe, options);
  const root = join(dirname(tool.executable), "root");
  const isPrivate = await access(join(root, "usr/sbin/mysqld")).then(
    () => true,
    () => false,
  );
  return isPrivate ? { ...tool, root } : tool;
}
