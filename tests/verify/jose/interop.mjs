// Verifies the token of each case, and signs its claims anew with the same key.
import { createLocalJWKSet, importJWK, jwtVerify, SignJWT } from 'jose'

const cases = JSON.parse(await new Response(process.stdin).text())
const told = {}
for (const { algorithm, token, jwks, jwk, issuer, audience } of cases) {
  const options = { algorithms: [algorithm], typ: 'at+jwt', issuer, audience }
  const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), options)
  const signed = new SignJWT({ ...payload, jti: 'jose' })
    .setProtectedHeader({ alg: algorithm, typ: 'at+jwt', kid: jwk.kid })
  told[algorithm] = {
    user_id: payload.user_id,
    token: await signed.sign(await importJWK(jwk, algorithm)),
  }
}
console.log(JSON.stringify(told))
