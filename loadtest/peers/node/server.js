// The usual Node service as a yardstick: fastify and ioredis, one EVALSHA a request, no checks.
//
//   PORT, REDIS_SOCKET (path of a unix socket), WORKERS (as many as cores if not given)

import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

import Fastify from 'fastify';
import Redis from 'ioredis';

const KEYS = ['peer:{s0}:drop', 'peer:{s0}:holders', 'peer:{s0}:journal'];
// What stands for the person: the end of the ticket's signature, which no two tickets share.
const PERSON_BYTES = 22;

function claim(seq) {
  return {
    claim_id: `clm_peer_${seq}`,
    drop: 'peer',
    seq,
    voucher: '0123456789ABCDEFGHJKMNPQRSTVWXYZ0123456789ABCDEFGHJKMNPQ',
    status: 'issued',
    claimed_at: '2023-11-20T10:00:00.000+08:00',
    valid_until: '2023-11-27T10:00:00+08:00',
    replayed: false,
  };
}

async function serve() {
  const redis = new Redis(process.env.REDIS_SOCKET);
  redis.defineCommand('singleClaim', {
    numberOfKeys: KEYS.length,
    lua: readFileSync(new URL('../single-claim.lua', import.meta.url), 'utf8'),
  });
  const app = Fastify();
  app.post('/v1/drops/:drop/claims', async (request, reply) => {
    const person = request.headers.authorization.slice(-PERSON_BYTES);
    const seq = await redis.singleClaim(...KEYS, person);
    if (seq === 0) {
      return reply.code(410).type('application/problem+json').send({ code: 'sold_out' });
    }
    return reply.code(seq > 0 ? 201 : 200).send(claim(Math.abs(seq)));
  });
  await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT), backlog: 4096 });
}

if (cluster.isPrimary) {
  const workers = Number(process.env.WORKERS ?? availableParallelism());
  for (let worker = 0; worker < workers; worker += 1) {
    cluster.fork();
  }
  // A lost worker would make the yardstick slower than it is.
  cluster.on('exit', () => process.exit(1));
  process.on('SIGTERM', () => process.exit(0));
} else {
  await serve();
}
