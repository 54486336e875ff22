// Messages made from the library's descriptors: every field set, nothing set, every enum value.
//
// A message that holds one of several things (a oneof) yields one sample for each of them; its path names the way
// there, as in `event/conversation_item_added/item/agent_handoff`. samples.py is the same for Python.

// 2026-11-21T00:00:00Z
const EPOCH_SECONDS = 1_795_219_200;

// Enum numbers that no copy of the schema uses.
const NEWER_ENUM_VALUES = [
  { name: 'newer', no: 100 },
  { name: 'negative', no: -1 },
];

/** Messages of this kind with every field set, one for each thing that it may hold. */
export function* filled(Kind) {
  const fields = Kind.fields.list();
  const base = new Kind();
  for (const field of fields) if (!isChoice(field)) fill(base, field);
  const choices = fields.filter(isChoice);
  if (choices.length === 0) yield ['', base];
  for (const choice of choices) {
    for (const [path, value] of values(choice)) yield [join(choice.name, path), put(base.clone(), choice, value)];
  }
}

/** Messages of this kind with nothing set but the thing that they hold. */
export function* minimal(Kind) {
  for (const field of Kind.fields.list()) {
    if (!isChoice(field) || field.kind !== 'message') continue;
    yield [field.name, put(new Kind(), field, new field.T())];
    for (const [path, inner] of minimal(field.T)) yield [join(field.name, path), put(new Kind(), field, inner)];
  }
}

/** Messages of this kind with one enum field set, for each such field below it and each of its values. */
export function* enums(Kind) {
  for (const field of Kind.fields.list()) {
    if (field.kind === 'enum') {
      for (const { name, no } of [...field.T.values, ...NEWER_ENUM_VALUES]) {
        yield [join(field.name, name), put(new Kind(), field, no)];
      }
    } else if (isOwn(field) && !isListOfItems(field)) {
      // Chat items are walked once, in the event that carries one of them.
      for (const [path, inner] of enums(field.T)) {
        yield [join(field.name, path), put(new Kind(), field, field.repeated ? [inner] : inner)];
      }
    }
  }
}

/** Set a field to a value that tells it from its neighbours. */
function fill(message, field) {
  if (field.kind === 'map') {
    put(message, field, { [`${field.name}_a`]: '1', [`${field.name}_b`]: '2' });
  } else if (field.repeated && field.kind !== 'message') {
    put(message, field, [`${field.name}_a`, `${field.name}_b`]);
  } else {
    const all = [...values(field)].map(([, value]) => value);
    put(message, field, field.repeated ? all : all[0]);
  }
}

/** The values to set a field to, or to list in it. Fractions are exact in 32 bits. */
function* values(field) {
  if (isOwn(field)) yield* filled(field.T);
  else if (field.kind === 'message') yield ['', wellKnown(field)];
  else if (field.kind === 'enum') yield ['', field.T.values.at(-1).no];
  else yield ['', scalar(field)];
}

/** A value of one of protobuf's scalar types, which the library numbers as descriptor.proto does. */
function scalar(field) {
  switch (field.T) {
    case 1: // double
    case 2: // float
      return field.no + 0.125;
    case 8: // bool
      return true;
    case 9: // string
      return `${field.name} ✓`;
    case 12: // bytes
      return new Uint8Array([0x00, 0x80, 0xff, 0x7f]);
    default:
      return 1000 + field.no;
  }
}

/** A value for the types of Google's own schema. */
function wellKnown(field) {
  switch (field.T.typeName) {
    case 'google.protobuf.Timestamp':
      return new field.T({ seconds: BigInt(EPOCH_SECONDS + field.no), nanos: 123_456_789 });
    case 'google.protobuf.Duration':
      return new field.T({ seconds: BigInt(field.no), nanos: 250_000_000 });
    case 'google.protobuf.Struct':
      return field.T.fromJson({ key: 'value' });
    default:
      throw new Error(`${field.name} is a ${field.T.typeName}: teach samples.mjs a value for it`);
  }
}

function put(message, field, value) {
  if (field.oneof) message[field.oneof.localName] = { case: field.localName, value };
  else message[field.localName] = value;
  return message;
}

/** Whether the field is one of several, or its single value is (the item of conversation_item_added). */
function isChoice(field) {
  if (field.oneof) return true;
  return isOwn(field) && !field.repeated && field.T.fields.list().some((inner) => inner.oneof);
}

/** Whether the field holds messages of LiveKit's schema: ones to look into. */
function isOwn(field) {
  return field.kind === 'message' && field.T.typeName.startsWith('livekit.');
}

function isListOfItems(field) {
  return field.repeated && field.T.typeName === 'livekit.agent.ChatContext.ChatItem';
}

function join(...steps) {
  return steps.filter(Boolean).join('/');
}
