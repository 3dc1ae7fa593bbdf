import time,sys
which=sys.argv[1]
if which=="numpy":
    import numpy as np
    a=np.ones((512,512),np.float32); f=lambda: a@a
elif which=="torch":
    import torch; torch.set_num_threads(2); a=torch.ones(512,512); f=lambda: a@a
else:
    import jax,jax.numpy as jnp; a=jnp.ones((512,512)); g=jax.jit(lambda a:a@a); f=lambda: g(a).block_until_ready()
for _ in range(5): f()
out=[]
for _ in range(4):
    f()
    c=time.process_time(); time.sleep(0.3); out.append(round(1e3*(time.process_time()-c),2))
print(which,"CPU ms burnt while idle 300 ms:",out)
