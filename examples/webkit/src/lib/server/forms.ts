const pattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** PostgreSQL would refuse any other text as a uuid. */
export const isId = (text: string) => pattern.test(text)

/** The field `id` of a form, if it is one. */
export async function readId(request: Request): Promise<string | undefined> {
  const id = (await request.formData()).get('id')
  return typeof id === 'string' && isId(id) ? id : undefined
}
