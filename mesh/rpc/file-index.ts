/** Finds the .proto file that declares a name, in a set of file descriptors. Of two files with one name the first wins. */
import type { DescriptorProto, FieldDescriptorProto, FileDescriptorProto } from "@bufbuild/protobuf/wkt";

/** The lookups that gRPC reflection needs. Names have no leading dot. */
export interface FileIndex {
  /** By path, such as `shop/order/v1/order.proto`. */
  byName(name: string): FileDescriptorProto | undefined;
  /** By the full name of a message, field, oneof, enum, enum value, extension, service or method. */
  bySymbol(name: string): FileDescriptorProto | undefined;
  /** The file that declares an extension. */
  byExtension(extendee: string, number: number): FileDescriptorProto | undefined;
  /** Numbers of all known extensions of a message, ascending; undefined if there is no such message. */
  extensionNumbers(extendee: string): readonly number[] | undefined;
  /** The file first, then everything it imports, directly or not, each once. Imports that are missing are left out. */
  withImports(file: FileDescriptorProto): FileDescriptorProto[];
}

/** Indexes files. */
export function indexFiles(files: readonly FileDescriptorProto[]): FileIndex {
  const names = new Map<string, FileDescriptorProto>();
  const symbols = new Map<string, FileDescriptorProto>();
  const messages = new Set<string>();
  const extensions = new Map<string, Map<number, FileDescriptorProto>>();
  for (const file of files) {
    if (names.has(file.name)) continue;
    names.set(file.name, file);
    indexFile(file);
  }

  function indexFile(file: FileDescriptorProto): void {
    const scope = file.package === "" ? "" : `${file.package}.`;
    for (const message of file.messageType) indexMessage(file, message, scope);
    for (const each of file.enumType) indexEnum(file, each, scope);
    for (const each of file.extension) indexExtension(file, each, scope);
    for (const service of file.service) {
      define(file, scope + service.name);
      for (const method of service.method) define(file, `${scope}${service.name}.${method.name}`);
    }
  }

  function indexMessage(file: FileDescriptorProto, message: DescriptorProto, scope: string): void {
    const name = scope + message.name;
    define(file, name);
    messages.add(name);
    const inner = `${name}.`;
    for (const { name } of [...message.field, ...message.oneofDecl]) define(file, inner + name);
    for (const each of message.nestedType) indexMessage(file, each, inner);
    for (const each of message.enumType) indexEnum(file, each, inner);
    for (const each of message.extension) indexExtension(file, each, inner);
  }

  // Values of an enum live in the scope around it, as in C++.
  function indexEnum(
    file: FileDescriptorProto,
    { name, value }: FileDescriptorProto["enumType"][number],
    scope: string,
  ): void {
    define(file, scope + name);
    for (const { name } of value) define(file, scope + name);
  }

  function indexExtension(file: FileDescriptorProto, field: FieldDescriptorProto, scope: string): void {
    define(file, scope + field.name);
    const extendee = field.extendee.replace(/^\./, "");
    const numbers = extensions.get(extendee) ?? new Map<number, FileDescriptorProto>();
    extensions.set(extendee, numbers.set(field.number, file));
  }

  function define(file: FileDescriptorProto, symbol: string): void {
    if (!symbols.has(symbol)) symbols.set(symbol, file);
  }

  return {
    byName: (name) => names.get(name),
    bySymbol: (name) => symbols.get(name),
    byExtension: (extendee, number) => extensions.get(extendee)?.get(number),
    extensionNumbers(extendee) {
      const numbers = extensions.get(extendee);
      if (numbers === undefined) return messages.has(extendee) ? [] : undefined;
      return [...numbers.keys()].sort((a, b) => a - b);
    },
    withImports(file) {
      const found = new Map([[file.name, file]]);
      for (const { dependency } of found.values()) {
        for (const name of dependency) {
          const imported = names.get(name);
          if (imported !== undefined) found.set(name, imported);
        }
      }
      return [...found.values()];
    },
  };
}
