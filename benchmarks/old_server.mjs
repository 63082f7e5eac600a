// The old design, for comparison: JSON files that every request reads, and every change rewrites.
// usage: node old_server.mjs FOLDER PORT     FOLDER holds actors.json and versions/{id}.json
import { createServer } from 'node:http'
import { readFileSync, writeFileSync } from 'node:fs'

const [folder, port] = process.argv.slice(2)
const registry = `${folder}/actors.json`
const versionsOf = (id) => `${folder}/versions/${id}.json`
const read = (path) => JSON.parse(readFileSync(path, 'utf8'))
const write = (path, value) => writeFileSync(path, JSON.stringify(value, null, 2))

function markGood(id, { versionId }) {
  const list = read(versionsOf(id))
  for (const version of list.versions) version.isGood = version.id === versionId
  write(versionsOf(id), list)
  const good = list.versions.find((version) => version.isGood)
  const actors = read(registry)
  actors.find((actor) => String(actor.id) === id).validated_lora_model = {
    version_id: good.id,
    version_name: good.name,
    lora_url: good.loraUrl,
    marked_at: new Date().toISOString(),
    parameters: good.parameters,
  }
  write(registry, actors)
  return { success: true, versions: list.versions }
}

createServer((request, response) => {
  const answer = (value) => {
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(value))
  }
  const [, id, what] = request.url.match(/^\/api\/actors\/(\d+)\/([a-z-]+)$/) ?? []
  if (request.url === '/actors.json') return answer(read(registry))
  if (request.method === 'GET' && what === 'training-versions') return answer(read(versionsOf(id)))
  if (request.method === 'POST' && what === 'mark-good') {
    let body = ''
    request.on('data', (part) => { body += part })
    request.on('end', () => answer(markGood(id, JSON.parse(body))))
    return undefined
  }
  response.statusCode = 404
  return response.end()
}).listen(Number(port), '127.0.0.1')
