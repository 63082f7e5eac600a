"""The endpoint's front door, as a process that can be killed: calls break off, jobs go on behind it.

``python -m tests.faults.front LISTEN TARGET SEED``. It relays bytes, and holds answers back for a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys

LONGEST_DELAY = 0.25


async def relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: random.Random | None
) -> None:
    """Copies one direction of a connection to its end."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            if delay:
                await asyncio.sleep(delay.uniform(0, LONGEST_DELAY))
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def serve(listen: int, target: int, seed: int) -> None:
    """Relays until it is killed."""
    chance = random.Random(seed)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(
            relay(reader, behind_writer, None), relay(behind_reader, writer, chance), return_exceptions=True
        )

    server = await asyncio.start_server(connect, "127.0.0.1", listen)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*(int(number) for number in sys.argv[1:4])))
