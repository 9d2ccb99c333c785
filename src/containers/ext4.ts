import { open } from 'node:fs/promises';

export const BLOCK_BYTES = 4096;
const SUPERBLOCK_AT = 1024;
const SUPERBLOCK_BYTES = 1024;
const MAGIC = 0xef53;

/** The size of the file system in an image, which may be smaller than its file. @returns null when there is none */
export async function ext4Bytes(image: string): Promise<number | null> {
  const file = await open(image, 'r');
  try {
    const { buffer } = await file.read(Buffer.alloc(SUPERBLOCK_BYTES), 0, SUPERBLOCK_BYTES, SUPERBLOCK_AT);
    return sizeInSuperblock(buffer);
  } finally {
    await file.close();
  }
}

/** As the kernel's documentation has it (filesystems/ext4, "Super Block"). @returns null when it is none */
export function sizeInSuperblock(bytes: Buffer): number | null {
  if (bytes.length < SUPERBLOCK_BYTES || bytes.readUInt16LE(0x38) !== MAGIC) return null;
  const has64Bit = (bytes.readUInt32LE(0x60) & 0x80) !== 0;
  const high = has64Bit ? bytes.readUInt32LE(0x150) : 0;
  return (high * 2 ** 32 + bytes.readUInt32LE(0x4)) * 2 ** (10 + bytes.readUInt32LE(0x18));
}
