"""`/docs`: the API for people, one page that needs no network but the daemon's own `/openapi.json`."""

from typing import Final

PAGE: Final = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>memdeck API</title>
<style>
:root{color-scheme:light dark;--line:#8884;--dim:#888}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin:2rem 0 .4rem}
details{border-top:1px solid var(--line);padding:.35rem 0}summary{cursor:pointer}
code,pre{font:13px/1.5 ui-monospace,monospace}pre{overflow:auto;padding:.6rem;border:1px solid var(--line)}
.m{display:inline-block;min-width:4.2rem;font-weight:600}.d{color:var(--dim)}table{border-collapse:collapse}
td{padding:.1rem .8rem .1rem 0;vertical-align:top}
</style></head><body>
<h1>memdeck API</h1><p class="d" id="about"></p><div id="routes">Reading <a href="/openapi.json">/openapi.json</a> ...</div>
<script>
const el=(tag,text,cls)=>{const e=document.createElement(tag);if(text!==undefined)e.textContent=text;if(cls)e.className=cls;return e};
const name=s=>!s?'any':s.$ref?s.$ref.split('/').pop():s.anyOf?s.anyOf.map(name).join(' | '):s.enum?s.enum.join(' | '):
  s.type==='array'?name(s.items)+'[]':(s.format||s.type||'any');
const rows=(head,list)=>{const t=el('table');list.forEach(r=>{const tr=el('tr');r.forEach((c,i)=>{const td=el('td');
  td.append(el(i?'span':'code',c,i>1?'d':''));tr.append(td)});t.append(tr)});const b=el('div');b.append(el('p',head,'d'),t);return b};
fetch('/openapi.json').then(r=>r.json()).then(doc=>{
  document.getElementById('about').textContent=doc.info.version+' - '+doc.info.description;
  const out=document.getElementById('routes');out.textContent='';
  const fields=s=>{const c=s&&s.$ref?doc.components.schemas[s.$ref.split('/').pop()]:s;
    return Object.entries((c&&c.properties)||{}).map(([k,v])=>[k,name(v),((c.required||[]).includes(k)?'required. ':'')+(v.description||'')])};
  doc.tags.forEach(tag=>{out.append(el('h2',tag.name));
    Object.entries(doc.paths).forEach(([path,ops])=>Object.entries(ops).forEach(([method,op])=>{
      if(!op.tags.includes(tag.name))return;
      const d=el('details'),s=el('summary');
      s.append(el('span',method.toUpperCase(),'m'),el('code',path),el('span','  '+op.summary,'d'));d.append(s);
      d.append(el('p',(op.description||'')+' Needs: '+op['x-memdeck-needs']+'.'));
      if(op.parameters.length)d.append(rows('Parameters',op.parameters.map(p=>[p.name,name(p.schema),p.in+(p.required?', required':'')])));
      const body=op.requestBody&&op.requestBody.content['application/json'];
      if(body){d.append(rows('Body',fields(body.schema)));if(body.example)d.append(el('pre',JSON.stringify(body.example,null,1)))}
      d.append(rows('Answers',Object.entries(op.responses).map(([code,r])=>[code,r.description])));
      out.append(d)}))})
}).catch(e=>{document.getElementById('routes').textContent='/openapi.json cannot be read: '+e});
</script></body></html>
"""
